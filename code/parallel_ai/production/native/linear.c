/* Logistic regression outside of Python: scores, then softmax, row by row.
 * x (rows, features) and out (rows, classes) lie row after row.           */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Floats in a register. GCC takes a wider vector apart, in memory. */
#if defined __AVX512F__
enum { WIDTH = 16 };
#elif defined __AVX__
enum { WIDTH = 8 };
#else
enum { WIDTH = 4 };
#endif
enum { LANES = 16, PARTS = LANES / WIDTH, SUMS = 8, BLOCK = SUMS / PARTS };
typedef float wide_t __attribute__((vector_size(4 * WIDTH), aligned(4)));

static void softmax(float *scores, ptrdiff_t classes)
{
    float top = scores[0], sum = 0;
    for (ptrdiff_t k = 1; k < classes; k++)
        top = scores[k] > top ? scores[k] : top;
    for (ptrdiff_t k = 0; k < classes; k++)
        sum += scores[k] = expf(scores[k] - top);
    for (ptrdiff_t k = 0; k < classes; k++)
        scores[k] /= sum;
}

/* As on paper: w is (classes, features), one sum after the other. */
void plain(const float *x, const float *w, const float *b, float *out,
           ptrdiff_t rows, ptrdiff_t features, ptrdiff_t classes, int threads)
{
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (ptrdiff_t i = 0; i < rows; i++) {
        for (ptrdiff_t k = 0; k < classes; k++) {
            float sum = b[k];
            for (ptrdiff_t j = 0; j < features; j++)
                sum += x[i * features + j] * w[k * features + j];
            out[i * classes + k] = sum;
        }
        softmax(out + i * classes, classes);
    }
}

/* Classes side by side: w is (features, LANES), b (LANES), zeros behind. */
void lanes(const float *x, const float *w, const float *b, float *out,
           ptrdiff_t rows, ptrdiff_t features, ptrdiff_t classes, int threads)
{
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (ptrdiff_t i = 0; i < rows; i++) {
        float sum[LANES];
        for (int k = 0; k < LANES; k++)
            sum[k] = b[k];
        for (ptrdiff_t j = 0; j < features; j++)
            for (int k = 0; k < LANES; k++)
                sum[k] += x[i * features + j] * w[j * LANES + k];
        memcpy(out + i * classes, sum, classes * sizeof *sum);
        softmax(out + i * classes, classes);
    }
}

/* Some rows at once: eight sums, each a register, that need not wait for one
 * another, and a line of weights is fetched once for all of these rows.     */
static void together(const float *x, const float *w, const float *b,
                     float *out, ptrdiff_t features, ptrdiff_t classes)
{
    wide_t sum[BLOCK][PARTS];
    for (int r = 0; r < BLOCK; r++)
        for (int p = 0; p < PARTS; p++)
            sum[r][p] = ((const wide_t *)b)[p];
    for (ptrdiff_t j = 0; j < features; j++) {
        const wide_t *weight = (const wide_t *)(w + j * LANES);
        for (int r = 0; r < BLOCK; r++)
            for (int p = 0; p < PARTS; p++)
                sum[r][p] += x[r * features + j] * weight[p];
    }
    for (int r = 0; r < BLOCK; r++) {
        memcpy(out + r * classes, sum[r], classes * sizeof(float));
        softmax(out + r * classes, classes);
    }
}

/* One row alone: eight partial sums again do not wait. */
static void one(const float *x, const float *w, const float *b, float *out,
                ptrdiff_t features, ptrdiff_t classes)
{
    wide_t sum[BLOCK][PARTS] = {0};
    ptrdiff_t j = 0;
    for (; j + BLOCK <= features; j += BLOCK)
        for (int r = 0; r < BLOCK; r++)
            for (int p = 0; p < PARTS; p++)
                sum[r][p] +=
                    x[j + r] * ((const wide_t *)(w + (j + r) * LANES))[p];
    for (; j < features; j++)
        for (int p = 0; p < PARTS; p++)
            sum[0][p] += x[j] * ((const wide_t *)(w + j * LANES))[p];
    for (int p = 0; p < PARTS; p++) {
        for (int r = 1; r < BLOCK; r++)
            sum[0][p] += sum[r][p];
        sum[0][p] += ((const wide_t *)b)[p];
    }
    memcpy(out, sum[0], classes * sizeof(float));
}

void blocked(const float *x, const float *w, const float *b, float *out,
             ptrdiff_t rows, ptrdiff_t features, ptrdiff_t classes,
             int threads)
{
    ptrdiff_t blocks = rows / BLOCK, done = blocks * BLOCK;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (ptrdiff_t i = 0; i < blocks; i++)
        together(x + i * BLOCK * features, w, b, out + i * BLOCK * classes,
                 features, classes);
    for (ptrdiff_t i = done; i < rows; i++) {
        one(x + i * features, w, b, out + i * classes, features, classes);
        softmax(out + i * classes, classes);
    }
}

/* For the traps: what `isnan` says, and a result that is no int. */
int has_nan(const float *x, ptrdiff_t count)
{
    int found = 0;
    for (ptrdiff_t i = 0; i < count; i++)
        found |= isnan(x[i]) != 0;
    return found;
}

double mean(const float *x, ptrdiff_t count)
{
    double sum = 0;
    for (ptrdiff_t i = 0; i < count; i++)
        sum += x[i];
    return sum / count;
}
