  // y = x wT. A block makes 16 * TILES columns of y; its warps take chunks of 128 along the sum in turn.
  constexpr int COLUMNS = 8 * GROUPS;
  __shared__ float sums[WARPS][TILES * 16 * COLUMNS];
  const int inner = x_shape[1], rows = x_shape[0], outer = w_shape[0];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
  const int first = blockIdx.x * 16 * TILES;

  // A lane has 32 values of a chunk: those of row g (and g + 8) of each tile of w, and of row g of each group of x.
  const uint4* codes = (const uint4*)w + (size_t)(first + g) * (inner / 32) + t;
  const unsigned char* scale_codes = (const unsigned char*)scales + (size_t)(first + g) * (inner / SIZE) + t * (32 / SIZE);
  const uint4* values[GROUPS];
  for (int j = 0; j < GROUPS; ++j) {
    int row = min(8 * j + g, rows - 1);
    values[j] = (const uint4*)((const __nv_bfloat16*)x + (size_t)row * inner + t * 32);
  }
  const size_t half_tile = (size_t)8 * (inner / 32), half_scales = (size_t)8 * (inner / SIZE);

  float c[TILES][GROUPS][4] = {};
  for (int chunk = warp; chunk < inner / 128; chunk += WARPS) {
    uint4 a[TILES][2];
    unsigned s[TILES][2][2];
    #pragma unroll
    for (int i = 0; i < 2 * TILES; ++i) {
      a[i / 2][i % 2] = __ldcs(codes + i * half_tile + chunk * 4);
      const unsigned char* at = scale_codes + i * half_scales + chunk * (128 / SIZE);
      s[i / 2][i % 2][0] = scale<SIZE == 16>(at[0]);
      s[i / 2][i % 2][1] = SIZE == 16 ? scale<SIZE == 16>(at[1]) : s[i / 2][i % 2][0];
    }
    #pragma unroll
    for (int word = 0; word < 4; ++word) {
      unsigned b[GROUPS][4];
      #pragma unroll
      for (int j = 0; j < GROUPS; ++j) {
        uint4 v = __ldg(values[j] + chunk * 16 + word);
        b[j][0] = zip<false>(v.x, v.z), b[j][1] = zip<true>(v.x, v.z);
        b[j][2] = zip<false>(v.y, v.w), b[j][3] = zip<true>(v.y, v.w);
      }
      #pragma unroll
      for (int i = 0; i < TILES; ++i) {
        unsigned upper = (&a[i][0].x)[word], lower = (&a[i][1].x)[word];
        unsigned p = s[i][0][word / 2], q = s[i][1][word / 2];
        unsigned a0 = scaled(pair<0>(upper), p), a1 = scaled(pair<0>(lower), q);
        unsigned a2 = scaled(pair<1>(upper), p), a3 = scaled(pair<1>(lower), q);
        unsigned a4 = scaled(pair<2>(upper), p), a5 = scaled(pair<2>(lower), q);
        unsigned a6 = scaled(pair<3>(upper), p), a7 = scaled(pair<3>(lower), q);
        #pragma unroll
        for (int j = 0; j < GROUPS; ++j) {
          multiply(c[i][j], a0, a1, a2, a3, b[j][0], b[j][1]);
          multiply(c[i][j], a4, a5, a6, a7, b[j][2], b[j][3]);
        }
      }
    }
  }

  // [column of x][row of w] of each tile.
  #pragma unroll
  for (int i = 0; i < TILES; ++i) {
    for (int j = 0; j < GROUPS; ++j) {
      for (int k = 0; k < 4; ++k) {
        int column = 8 * j + 2 * t + (k & 1), row = 16 * i + g + 8 * (k >> 1);
        sums[warp][column * 16 * TILES + row] = c[i][j][k];
      }
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < 16 * TILES * rows; i += 32 * WARPS) {
    float sum = 0.f;
    for (int k = 0; k < WARPS; ++k) {
      sum += sums[k][i];
    }
    int column = i / (16 * TILES), row = i % (16 * TILES);
    ((__nv_bfloat16*)y)[(size_t)column * outer + first + row] = __float2bfloat16(sum * 256.f);  // 126 - 118 powers of two
  }
