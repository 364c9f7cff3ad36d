// What MLX's CPU backend takes from a BLAS and a LAPACK.
//
// 32-bit products are rmlx's own (src/nn/kernels/products), which it names when it starts. Products of 64-bit and of complex
// numbers are not used by any model: they are right, and plain. Nothing of LAPACK is used: its functions answer a failure,
// which MLX turns into an exception.

#include <complex.h>
#include <stdatomic.h>
#include <stddef.h>

typedef void (*sgemm)(int layout, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda,
                      const float *b, int ldb, float beta, float *c, int ldc);

static _Atomic(sgemm) fast;

// `product` serves all 32-bit products from now on; it may be called by any thread.
void rmlx_blas_use(sgemm product)
{
    atomic_store(&fast, product);
}

enum { COLUMN_MAJOR = 102, AS_IT_IS = 111, CONJUGATED = 113 };

// C = alpha A B + beta C, where A, B or both may be transposed.
#define PRODUCT(name, number, scalar, value_of, conjugate)                                                   \
    static void name(int layout, int ta, int tb, int m, int n, int k, scalar alpha, const void *left,        \
                     int lda, const void *right, int ldb, scalar beta, void *result, int ldc)                \
    {                                                                                                        \
        if (layout == COLUMN_MAJOR) {                                                                        \
            name(101, tb, ta, n, m, k, alpha, right, ldb, left, lda, beta, result, ldc);                     \
            return;                                                                                          \
        }                                                                                                    \
        const number *a = left, *b = right;                                                                  \
        number *c = result;                                                                                  \
        size_t row = ta == AS_IT_IS ? lda : 1, in_row = ta == AS_IT_IS ? 1 : lda;                            \
        size_t in_column = tb == AS_IT_IS ? ldb : 1, column = tb == AS_IT_IS ? 1 : ldb;                      \
        for (size_t i = 0; i < (size_t)m; i++)                                                               \
            for (size_t j = 0; j < (size_t)n; j++) {                                                         \
                number sum = 0;                                                                              \
                for (size_t l = 0; l < (size_t)k; l++) {                                                     \
                    number x = a[i * row + l * in_row], y = b[l * in_column + j * column];                   \
                    sum += (ta == CONJUGATED ? conjugate(x) : x) * (tb == CONJUGATED ? conjugate(y) : y);    \
                }                                                                                            \
                number *out = &c[i * (size_t)ldc + j];                                                       \
                /* What is not to be read may be no number. */                                               \
                *out = value_of(alpha) * sum + (value_of(beta) == 0 ? 0 : value_of(beta) * *out);            \
            }                                                                                                \
    }

#define ITSELF(x) (x)
#define POINTED_TO(x) (*(const float complex *)(x))

PRODUCT(single_product, float, float, ITSELF, ITSELF)
PRODUCT(double_product, double, double, ITSELF, ITSELF)
PRODUCT(complex_product, float complex, const void *, POINTED_TO, conjf)

void rmlx_cblas_sgemm(int layout, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda,
                      const float *b, int ldb, float beta, float *c, int ldc)
{
    sgemm product = atomic_load_explicit(&fast, memory_order_acquire);
    if (product)
        product(layout, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    else
        single_product(layout, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void rmlx_cblas_dgemm(int layout, int ta, int tb, int m, int n, int k, double alpha, const double *a, int lda,
                      const double *b, int ldb, double beta, double *c, int ldc)
{
    double_product(layout, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void rmlx_cblas_cgemm(int layout, int ta, int tb, int m, int n, int k, const void *alpha, const void *a, int lda,
                      const void *b, int ldb, const void *beta, void *c, int ldc)
{
    complex_product(layout, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

// Fortran passes pointers only; the last of them is where the outcome is written. Lengths of strings may follow.
#define P5 void *p1, void *p2, void *p3, void *p4, void *p5
#define P6 P5, void *p6
#define P7 P6, void *p7
#define P8 P7, void *p8
#define P10 P8, void *p9, void *p10
#define P13 P10, void *p11, void *p12, void *p13
#define P14 P13, void *p14
#define ABSENT(name, before) void rmlx_##name(before, int *info) { *info = -1; }
#define P4 void *p1, void *p2, void *p3, void *p4
#define P12 P10, void *p11, void *p12

#pragma GCC diagnostic ignored "-Wunused-parameter"

ABSENT(sgeev_, P13)
ABSENT(dgeev_, P13)
ABSENT(cgeev_, P13)
ABSENT(sgeqrf_, P7)
ABSENT(dgeqrf_, P7)
ABSENT(sorgqr_, P8)
ABSENT(dorgqr_, P8)
ABSENT(sgesdd_, P13)
ABSENT(dgesdd_, P13)
ABSENT(cgesdd_, P14)
ABSENT(sgetrf_, P5)
ABSENT(dgetrf_, P5)
ABSENT(sgetri_, P6)
ABSENT(dgetri_, P6)
ABSENT(spotrf_, P4)
ABSENT(dpotrf_, P4)
ABSENT(strtri_, P5)
ABSENT(dtrtri_, P5)
ABSENT(ssyevd_, P10)
ABSENT(dsyevd_, P10)
ABSENT(cheevd_, P12)
