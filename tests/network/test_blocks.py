import pytest
import torch

from mattecli.network.blocks import Conv


@pytest.mark.parametrize("dilation", [6, 12, 18])
def test_depthwise_kernels_get_the_right_gradient_in_bf16(dilation: int) -> None:
    generator = torch.Generator().manual_seed(dilation)
    x, grad = (torch.randn(1, 32, 32, 32, generator=generator).bfloat16() for _ in range(2))
    x, grad = (t.contiguous(memory_format=torch.channels_last) for t in (x, grad))
    conv = Conv(32, 32, 3, dilation=dilation, groups=32)
    with torch.autocast("cpu", torch.bfloat16):
        out = conv(x)
    out.backward(grad.to(out.dtype))
    exact = Conv(32, 32, 3, dilation=dilation, groups=32).double()
    exact(x.double()).backward(grad.double())
    assert conv.weight.grad is not None
    assert exact.weight.grad is not None
    error = (conv.weight.grad - exact.weight.grad).abs().max()
    assert error <= 0.01 * exact.weight.grad.abs().max()
