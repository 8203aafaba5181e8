/* A forest as data: one loop walks through any forest, none is compiled. */
#include <stddef.h>
#include <stdint.h>

struct node {          /* a compiler puts 2 bytes of nothing after feature */
    int16_t feature;   /* -1 in a leaf */
    float threshold;
    int32_t left;      /* the right child follows it; in a leaf: its number */
};

size_t node_size(void) { return sizeof(struct node); }

void walk(const float *x, const struct node *nodes, const int32_t *roots,
          const float *leaves, float *out, ptrdiff_t rows, ptrdiff_t features,
          ptrdiff_t classes, ptrdiff_t trees, int threads)
{
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (ptrdiff_t i = 0; i < rows; i++) {
        const float *row = x + i * features;
        double sum[64] = {0};
        for (ptrdiff_t t = 0; t < trees; t++) {
            const struct node *at = nodes + roots[t];
            while (at->feature >= 0)  /* NaN is not <=, so it goes right */
                at = nodes + at->left + !(row[at->feature] <= at->threshold);
            for (ptrdiff_t k = 0; k < classes; k++)
                sum[k] += leaves[at->left * classes + k];
        }
        for (ptrdiff_t k = 0; k < classes; k++)
            out[i * classes + k] = (float)(sum[k] / trees);
    }
}
