"""Triton kernels of resampling and correlation; `fused.py` launches them.

There are three patterns; each is the forward pass of one operator and the backward pass of another:

- gather: a position of the half-size grid reads its 6×6 window (downsample, correlate, the gradient of upsample);
- spread: a position gives 2×2 pixels, each from the 3×3 positions around (upsample, the gradients of the other two);
- reduce: products of pixels and gradients, summed over channels or positions (the gradients of s, p and the kernels).

A program works on ROWS × COLUMNS positions × CHANNELS channels; sums are float32. No two programs add to the same
memory, so results repeat bit for bit. Strides are those of batch (b), channel (c), row (y) and column (x); a channel
stride of 1 makes loads wide. `top` and `left` are 1 at an edge of the map and 0 where the input has a halo; the rows
and columns before a position's own pixel depend on them. Scores are powers of two, because the hardware computes 2^x.
"""
# Triton's decorator and the pointers that its kernels take have no types.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, no-any-return"

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
TAPS = tl.constexpr(36)
TAPS_PADDED = tl.constexpr(64)

# Sizes change from picture to picture: compiling kernels for each kind of number would cost more than it saves.
SIZES = ["H", "W", "h", "w", "top", "left"]


@triton.jit
def _tile(w, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Rows and columns of this program's positions on a grid w wide; some may lie beyond it."""
    tile = tl.program_id(0)
    across = tl.cdiv(w, COLUMNS)
    place = tl.arange(0, ROWS * COLUMNS)
    return tile // across * ROWS + place // COLUMNS, tile % across * COLUMNS + place % COLUMNS


@triton.jit
def _inside(y, x, H, W):
    return (y >= 0) & (y < H) & (x >= 0) & (x < W)


@triton.jit
def _pixels(image, channels, present, y, x, H, W, stride_y, stride_x):
    """Pixels (positions, channels) in float32; zeros outside the map."""
    pointers = image + (y.to(tl.int64) * stride_y + x * stride_x)[:, None] + channels[None, :]
    return tl.load(pointers, mask=_inside(y, x, H, W)[:, None] & present[None, :], other=0.0).to(tl.float32)


@triton.jit
def _put(image, value, channels, present, y, x, H, W, stride_y, stride_x):
    """Write pixels in the map's type, except those outside the map."""
    pointers = image + (y.to(tl.int64) * stride_y + x * stride_x)[:, None] + channels[None, :]
    tl.store(pointers, value.to(image.dtype.element_ty), mask=_inside(y, x, H, W)[:, None] & present[None, :])


@triton.jit
def _number(values, y, x, h, w):
    """One float32 number for each position of a contiguous map h × w; zero outside."""
    return tl.load(values + y.to(tl.int64) * w + x, mask=_inside(y, x, h, w), other=0.0).to(tl.float32)


@triton.jit
def _score(s, p, tap):
    """The score of a tap at each position, as a power of two."""
    return s * (tl.load(p + tap).to(tl.float32) * LOG2E)


@triton.jit
def _up_weight(s, p, tap):
    """The weight of a tap before normalisation: exp of its sigmoid, which cannot overflow."""
    return tl.exp2(1.0 / (1.0 + tl.exp2(-_score(s, p, tap))) * LOG2E)


# Downsample


@triton.jit
def _vector(p):
    """p as powers of two, padded with zeros, and a mask of the numbers that are taps."""
    taps = tl.arange(0, TAPS_PADDED)
    return tl.load(p + taps, mask=taps < TAPS, other=0.0).to(tl.float32) * LOG2E, taps < TAPS


@triton.jit
def _peak(s, p):
    """The largest score at each position: that of the largest p, or of the smallest where s is negative."""
    vector, tap = _vector(p)
    largest = tl.max(tl.where(tap, vector, -float("inf")), 0)
    smallest = tl.min(tl.where(tap, vector, float("inf")), 0)
    return tl.maximum(s * largest, s * smallest)


@triton.jit(do_not_specialize=SIZES)
def downsample(
    x, s, p, out, C, H, W, h, w, top, left, x_b, x_c, x_y, x_x, out_b, out_c, out_y, out_x,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    batch = tl.program_id(2).to(tl.int64)
    row, column = _tile(w, ROWS, COLUMNS)
    c = (tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)).to(tl.int64)
    affinity = _number(s + batch * h * w, row, column, h, w)
    p += batch * TAPS
    peak = _peak(affinity, p)
    total = tl.zeros([ROWS * COLUMNS], tl.float32)
    sums = tl.zeros([ROWS * COLUMNS, CHANNELS], tl.float32)
    for i in range(6):
        for j in tl.static_range(6):
            weight = tl.exp2(_score(affinity, p, 6 * i + j) - peak)
            total += weight
            y, z = 2 * (row - top) + i, 2 * (column - left) + j
            sums += weight[:, None] * _pixels(x + batch * x_b, c * x_c, c < C, y, z, H, W, x_y, x_x)
    _put(out + batch * out_b, sums / total[:, None], c * out_c, c < C, row, column, h, w, out_y, out_x)


@triton.jit(do_not_specialize=SIZES)
def downsample_grad_s(
    grad, x, s, p, grad_s, grad_p, norm, C, H, W, h, w, top, left, grad_b, grad_c, grad_y, grad_x, x_b, x_c, x_y, x_x,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """The gradient of s, each program's part of the gradient of p, and `norm`: log2 of the softmax's denominator."""
    batch = tl.program_id(1).to(tl.int64)
    row, column = _tile(w, ROWS, COLUMNS)
    taps = tl.arange(0, TAPS_PADDED)[None, :]
    dots = tl.zeros([ROWS * COLUMNS, TAPS_PADDED], tl.float32)
    for first in range(0, C, CHANNELS):
        c = (first + tl.arange(0, CHANNELS)).to(tl.int64)
        g = _pixels(grad + batch * grad_b, c * grad_c, c < C, row, column, h, w, grad_y, grad_x)
        for i in range(6):
            for j in tl.static_range(6):
                y, z = 2 * (row - top) + i, 2 * (column - left) + j
                pixels = _pixels(x + batch * x_b, c * x_c, c < C, y, z, H, W, x_y, x_x)
                dots += tl.where(taps == 6 * i + j, tl.sum(g * pixels, 1)[:, None], 0.0)
    affinity = _number(s + batch * h * w, row, column, h, w)
    vector, tap = _vector(p + batch * TAPS)
    peak = _peak(affinity, p + batch * TAPS)
    kernel = tl.where(tap[None, :], tl.exp2(affinity[:, None] * vector[None, :] - peak[:, None]), 0.0)
    total = tl.sum(kernel, 1)
    kernel /= total[:, None]
    slope = kernel * (dots - tl.sum(kernel * dots, 1)[:, None])  # gradient of p · s
    place, inside = batch * h * w + row.to(tl.int64) * w + column, _inside(row, column, h, w)
    tl.store(grad_s + place, tl.sum(slope * vector[None, :], 1) / LOG2E, mask=inside)
    tl.store(norm + place, peak + tl.log2(total), mask=inside)
    part = (batch * tl.num_programs(0) + tl.program_id(0)) * TAPS_PADDED + tl.arange(0, TAPS_PADDED)
    tl.store(grad_p + part, tl.sum(slope * affinity[:, None], 0))


@triton.jit(do_not_specialize=SIZES)
def downsample_grad_x(
    grad, s, p, norm, out, C, H, W, h, w, top, left, grad_b, grad_c, grad_y, grad_x, out_b, out_c, out_y, out_x,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Pixel (2·row + dy, 2·column + dx) was tap (2a + dy, 2b + dx) of position (row + top − a, column + left − b)."""
    batch = tl.program_id(2).to(tl.int64)
    row, column = _tile(tl.cdiv(W, 2), ROWS, COLUMNS)
    c = (tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)).to(tl.int64)
    p += batch * TAPS
    sums00 = tl.zeros([ROWS * COLUMNS, CHANNELS], tl.float32)
    sums01, sums10, sums11 = sums00, sums00, sums00
    for a in range(3):
        for b in tl.static_range(3):
            y, z = row + top - a, column + left - b
            g = _pixels(grad + batch * grad_b, c * grad_c, c < C, y, z, h, w, grad_y, grad_x)
            affinity = _number(s + batch * h * w, y, z, h, w)
            log = _number(norm + batch * h * w, y, z, h, w)
            tap = 12 * a + 2 * b
            sums00 += g * tl.exp2(_score(affinity, p, tap) - log)[:, None]
            sums01 += g * tl.exp2(_score(affinity, p, tap + 1) - log)[:, None]
            sums10 += g * tl.exp2(_score(affinity, p, tap + 6) - log)[:, None]
            sums11 += g * tl.exp2(_score(affinity, p, tap + 7) - log)[:, None]
    _put_quad(out + batch * out_b, sums00, sums01, sums10, sums11, c * out_c, c < C, row, column, H, W, out_y, out_x)


@triton.jit
def _put_quad(image, q00, q01, q10, q11, channels, present, row, column, H, W, stride_y, stride_x):
    """Write each position's 2×2 pixels."""
    _put(image, q00, channels, present, 2 * row, 2 * column, H, W, stride_y, stride_x)
    _put(image, q01, channels, present, 2 * row, 2 * column + 1, H, W, stride_y, stride_x)
    _put(image, q10, channels, present, 2 * row + 1, 2 * column, H, W, stride_y, stride_x)
    _put(image, q11, channels, present, 2 * row + 1, 2 * column + 1, H, W, stride_y, stride_x)


# Upsample: H × W is the input's size here, h × w that of s; the output has 2h × 2w pixels


@triton.jit(do_not_specialize=SIZES)
def upsample(
    x, s, p, out, C, H, W, h, w, top, left, x_b, x_c, x_y, x_x, out_b, out_c, out_y, out_x,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    batch = tl.program_id(2).to(tl.int64)
    row, column = _tile(w, ROWS, COLUMNS)
    c = (tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)).to(tl.int64)
    affinity = _number(s + batch * h * w, row, column, h, w)
    p += batch * TAPS
    total00 = tl.zeros([ROWS * COLUMNS], tl.float32)
    total01, total10, total11 = total00, total00, total00
    sums00 = tl.zeros([ROWS * COLUMNS, CHANNELS], tl.float32)
    sums01, sums10, sums11 = sums00, sums00, sums00
    for i in range(3):
        for j in tl.static_range(3):
            y, z = row + i - top, column + j - left
            pixels = _pixels(x + batch * x_b, c * x_c, c < C, y, z, H, W, x_y, x_x)
            tap = 12 * i + 4 * j
            weight00, weight01 = _up_weight(affinity, p, tap), _up_weight(affinity, p, tap + 1)
            weight10, weight11 = _up_weight(affinity, p, tap + 2), _up_weight(affinity, p, tap + 3)
            total00 += weight00
            total01 += weight01
            total10 += weight10
            total11 += weight11
            sums00 += weight00[:, None] * pixels
            sums01 += weight01[:, None] * pixels
            sums10 += weight10[:, None] * pixels
            sums11 += weight11[:, None] * pixels
    sums00, sums01 = sums00 / total00[:, None], sums01 / total01[:, None]
    sums10, sums11 = sums10 / total10[:, None], sums11 / total11[:, None]
    out += batch * out_b
    _put_quad(out, sums00, sums01, sums10, sums11, c * out_c, c < C, row, column, 2 * h, 2 * w, out_y, out_x)


@triton.jit
def _quad_dots(dots, taps, tap, g00, g01, g10, g11, pixels):
    """Add the dot products of a tap with the four gradients of its position."""
    dots += tl.where(taps == tap, tl.sum(g00 * pixels, 1)[:, None], 0.0)
    dots += tl.where(taps == tap + 1, tl.sum(g01 * pixels, 1)[:, None], 0.0)
    dots += tl.where(taps == tap + 2, tl.sum(g10 * pixels, 1)[:, None], 0.0)
    dots += tl.where(taps == tap + 3, tl.sum(g11 * pixels, 1)[:, None], 0.0)
    return dots


@triton.jit(do_not_specialize=SIZES)
def upsample_grad_s(
    grad, x, s, p, grad_s, grad_p, norm, C, H, W, h, w, top, left, grad_b, grad_c, grad_y, grad_x, x_b, x_c, x_y, x_x,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """The gradient of s, each program's part of the gradient of p, and `norm` (h, w, 4): the denominators."""
    batch = tl.program_id(1).to(tl.int64)
    row, column = _tile(w, ROWS, COLUMNS)
    taps = tl.arange(0, TAPS_PADDED)[None, :]
    dots = tl.zeros([ROWS * COLUMNS, TAPS_PADDED], tl.float32)
    grad += batch * grad_b
    for first in range(0, C, CHANNELS):
        c = (first + tl.arange(0, CHANNELS)).to(tl.int64)
        y, z = 2 * row, 2 * column
        g00 = _pixels(grad, c * grad_c, c < C, y, z, 2 * h, 2 * w, grad_y, grad_x)
        g01 = _pixels(grad, c * grad_c, c < C, y, z + 1, 2 * h, 2 * w, grad_y, grad_x)
        g10 = _pixels(grad, c * grad_c, c < C, y + 1, z, 2 * h, 2 * w, grad_y, grad_x)
        g11 = _pixels(grad, c * grad_c, c < C, y + 1, z + 1, 2 * h, 2 * w, grad_y, grad_x)
        for i in range(3):
            for j in tl.static_range(3):
                y, z = row + i - top, column + j - left
                pixels = _pixels(x + batch * x_b, c * x_c, c < C, y, z, H, W, x_y, x_x)
                dots = _quad_dots(dots, taps, 12 * i + 4 * j, g00, g01, g10, g11, pixels)
    affinity = _number(s + batch * h * w, row, column, h, w)
    vector, tap = _vector(p + batch * TAPS)
    squashed = 1.0 / (1.0 + tl.exp2(-affinity[:, None] * vector[None, :]))
    weight = tl.where(tap[None, :], tl.exp2(squashed * LOG2E), 0.0)
    weight = tl.reshape(weight, [ROWS * COLUMNS, TAPS_PADDED // 4, 4])  # tap, sub-position
    products = tl.reshape(dots, [ROWS * COLUMNS, TAPS_PADDED // 4, 4])
    total = tl.sum(weight, 1)
    kernel = weight / total[:, None, :]
    slope = kernel * (products - tl.sum(kernel * products, 1)[:, None, :])  # gradient of the sigmoid of p · s
    slope = tl.reshape(slope, [ROWS * COLUMNS, TAPS_PADDED]) * squashed * (1.0 - squashed)
    place, inside = batch * h * w + row.to(tl.int64) * w + column, _inside(row, column, h, w)
    tl.store(grad_s + place, tl.sum(slope * vector[None, :], 1) / LOG2E, mask=inside)
    tl.store(norm + 4 * place[:, None] + tl.arange(0, 4)[None, :], total, mask=inside[:, None])
    part = (batch * tl.num_programs(0) + tl.program_id(0)) * TAPS_PADDED + tl.arange(0, TAPS_PADDED)
    tl.store(grad_p + part, tl.sum(slope * affinity[:, None], 0))


@triton.jit(do_not_specialize=SIZES)
def upsample_grad_x(
    grad, s, p, norm, out, C, H, W, h, w, top, left, grad_b, grad_c, grad_y, grad_x, out_b, out_c, out_y, out_x,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Pixel (row, column) was tap (i, j) of the four outputs of position (row + top − i, column + left − j)."""
    batch = tl.program_id(2).to(tl.int64)
    row, column = _tile(W, ROWS, COLUMNS)
    c = (tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)).to(tl.int64)
    p += batch * TAPS
    grad += batch * grad_b
    sums = tl.zeros([ROWS * COLUMNS, CHANNELS], tl.float32)
    for i in range(3):
        for j in range(3):
            y, z = row + top - i, column + left - j
            affinity = _number(s + batch * h * w, y, z, h, w)
            place, inside = 4 * (batch * h * w + y.to(tl.int64) * w + z), _inside(y, z, h, w)
            for q in tl.static_range(4):
                total = tl.load(norm + place + q, mask=inside, other=1.0)
                weight = _up_weight(affinity, p, 12 * i + 4 * j + q) / total
                y_out, z_out = 2 * y + q // 2, 2 * z + q % 2
                g = _pixels(grad, c * grad_c, c < C, y_out, z_out, 2 * h, 2 * w, grad_y, grad_x)
                sums += weight[:, None] * g
    _put(out + batch * out_b, sums, c * out_c, c < C, row, column, H, W, out_y, out_x)


# Correlate: u and v are (B, 36, C), or (B, 36, 1) if all channels share one kernel


@triton.jit
def _kernel(u, c, C, tap, SHARED: tl.constexpr):
    """A tap's weights: (1, channels), or one number."""
    if SHARED:
        weight = tl.load(u + tap).to(tl.float32)
    else:
        weight = tl.load(u + tap * C + c, mask=c < C, other=0.0).to(tl.float32)[None, :]
    return weight


@triton.jit(do_not_specialize=SIZES)
def correlate(
    x, u, v, out_u, out_v, C, H, W, h, w, top, left, x_b, x_c, x_y, x_x, out_b, out_c, out_y, out_x,
    SHARED: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    batch = tl.program_id(2).to(tl.int64)
    row, column = _tile(w, ROWS, COLUMNS)
    c = (tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)).to(tl.int64)
    kernel = batch * TAPS * (1 if SHARED else C)
    sums_u = tl.zeros([ROWS * COLUMNS, CHANNELS], tl.float32)
    sums_v = sums_u
    for i in range(6):
        for j in tl.static_range(6):
            y, z = 2 * (row - top) + i, 2 * (column - left) + j
            pixels = _pixels(x + batch * x_b, c * x_c, c < C, y, z, H, W, x_y, x_x)
            sums_u += pixels * _kernel(u + kernel, c, C, 6 * i + j, SHARED)
            sums_v += pixels * _kernel(v + kernel, c, C, 6 * i + j, SHARED)
    _put(out_u + batch * out_b, sums_u, c * out_c, c < C, row, column, h, w, out_y, out_x)
    _put(out_v + batch * out_b, sums_v, c * out_c, c < C, row, column, h, w, out_y, out_x)


@triton.jit(do_not_specialize=SIZES)
def correlate_grad_x(
    grad_u, grad_v, u, v, out, C, H, W, h, w, top, left, grad_b, grad_c, grad_y, grad_x, out_b, out_c, out_y, out_x,
    SHARED: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Like `downsample_grad_x`, with kernels that do not depend on the position."""
    batch = tl.program_id(2).to(tl.int64)
    row, column = _tile(tl.cdiv(W, 2), ROWS, COLUMNS)
    c = (tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)).to(tl.int64)
    u += batch * TAPS * (1 if SHARED else C)
    v += batch * TAPS * (1 if SHARED else C)
    sums00 = tl.zeros([ROWS * COLUMNS, CHANNELS], tl.float32)
    sums01, sums10, sums11 = sums00, sums00, sums00
    for a in range(3):
        for b in tl.static_range(3):
            y, z = row + top - a, column + left - b
            g_u = _pixels(grad_u + batch * grad_b, c * grad_c, c < C, y, z, h, w, grad_y, grad_x)
            g_v = _pixels(grad_v + batch * grad_b, c * grad_c, c < C, y, z, h, w, grad_y, grad_x)
            tap = 12 * a + 2 * b
            sums00 += g_u * _kernel(u, c, C, tap, SHARED) + g_v * _kernel(v, c, C, tap, SHARED)
            sums01 += g_u * _kernel(u, c, C, tap + 1, SHARED) + g_v * _kernel(v, c, C, tap + 1, SHARED)
            sums10 += g_u * _kernel(u, c, C, tap + 6, SHARED) + g_v * _kernel(v, c, C, tap + 6, SHARED)
            sums11 += g_u * _kernel(u, c, C, tap + 7, SHARED) + g_v * _kernel(v, c, C, tap + 7, SHARED)
    _put_quad(out + batch * out_b, sums00, sums01, sums10, sums11, c * out_c, c < C, row, column, H, W, out_y, out_x)


@triton.jit(do_not_specialize=SIZES)
def correlate_grad_kernel(
    grad, x, parts, C, H, W, h, w, top, left, grad_b, grad_c, grad_y, grad_x, x_b, x_c, x_y, x_x,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Each strip's part of a kernel's gradient, (B, strips, 36, C); a strip has ROWS rows of positions.

    A program computes the nine taps (2a + dy, 2b + dx) of one parity, which read the same quarter of the pixels.
    """
    batch = tl.program_id(2).to(tl.int64)
    strip, parity = tl.program_id(0) // 4, tl.program_id(0) % 4
    dy, dx = parity // 2, parity % 2
    c = (tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)).to(tl.int64)
    grad += batch * grad_b
    x += batch * x_b
    sums00 = tl.zeros([COLUMNS, CHANNELS], tl.float32)
    sums01, sums02, sums10, sums11, sums12 = sums00, sums00, sums00, sums00, sums00
    sums20, sums21, sums22 = sums00, sums00, sums00
    across = tl.cdiv(w, COLUMNS)
    for step in range(min(ROWS, h - strip * ROWS) * across):
        column = step % across * COLUMNS + tl.arange(0, COLUMNS)
        row = tl.zeros_like(column) + strip * ROWS + step // across
        g = _pixels(grad, c * grad_c, c < C, row, column, h, w, grad_y, grad_x)
        y, z = 2 * (row - top) + dy, 2 * (column - left) + dx
        sums00 += g * _pixels(x, c * x_c, c < C, y, z, H, W, x_y, x_x)
        sums01 += g * _pixels(x, c * x_c, c < C, y, z + 2, H, W, x_y, x_x)
        sums02 += g * _pixels(x, c * x_c, c < C, y, z + 4, H, W, x_y, x_x)
        sums10 += g * _pixels(x, c * x_c, c < C, y + 2, z, H, W, x_y, x_x)
        sums11 += g * _pixels(x, c * x_c, c < C, y + 2, z + 2, H, W, x_y, x_x)
        sums12 += g * _pixels(x, c * x_c, c < C, y + 2, z + 4, H, W, x_y, x_x)
        sums20 += g * _pixels(x, c * x_c, c < C, y + 4, z, H, W, x_y, x_x)
        sums21 += g * _pixels(x, c * x_c, c < C, y + 4, z + 2, H, W, x_y, x_x)
        sums22 += g * _pixels(x, c * x_c, c < C, y + 4, z + 4, H, W, x_y, x_x)
    parts += (batch * (tl.num_programs(0) // 4) + strip) * TAPS * C + (6 * dy + dx) * C + c
    tl.store(parts, tl.sum(sums00, 0), mask=c < C)
    tl.store(parts + 2 * C, tl.sum(sums01, 0), mask=c < C)
    tl.store(parts + 4 * C, tl.sum(sums02, 0), mask=c < C)
    tl.store(parts + 12 * C, tl.sum(sums10, 0), mask=c < C)
    tl.store(parts + 14 * C, tl.sum(sums11, 0), mask=c < C)
    tl.store(parts + 16 * C, tl.sum(sums12, 0), mask=c < C)
    tl.store(parts + 24 * C, tl.sum(sums20, 0), mask=c < C)
    tl.store(parts + 26 * C, tl.sum(sums21, 0), mask=c < C)
    tl.store(parts + 28 * C, tl.sum(sums22, 0), mask=c < C)
