"""What a photo and its alpha are turned into."""
