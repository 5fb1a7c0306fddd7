"""A folder of photos, matted in one run that can be killed, resumed, and spread over machines."""
