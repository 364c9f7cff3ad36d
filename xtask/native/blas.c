// Matrix products for MLX's CPU backend: OpenBLAS, on the thread that calls.
//
// What is large goes to rmlx's own kernels and their threads (src/nn/kernels/cpu). OpenBLAS's threads spin while they wait:
// a third of a prompt's processor time on a quiet machine, and most of it on a busy one.

#include <stdatomic.h>

void scipy_openblas_set_num_threads(int);

static void stay_on_this_thread(void)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set_explicit(&told, memory_order_relaxed))
        scipy_openblas_set_num_threads(1);
}

#define GEMM(name, scalar)                                                                                  \
    void scipy_cblas_##name(int, int, int, int, int, int, scalar, const void *, int, const void *, int,     \
                            scalar, void *, int);                                                           \
    void rmlx_cblas_##name(int layout, int ta, int tb, int m, int n, int k, scalar alpha, const void *a,    \
                           int lda, const void *b, int ldb, scalar beta, void *c, int ldc)                  \
    {                                                                                                       \
        stay_on_this_thread();                                                                              \
        scipy_cblas_##name(layout, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);                   \
    }

GEMM(sgemm, float)
GEMM(dgemm, double)
GEMM(cgemm, const void *)
