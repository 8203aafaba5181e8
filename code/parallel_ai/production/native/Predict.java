import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.*;
import java.util.Arrays;

/** Both models, from files of floats; Forest is a generated class. */
public final class Predict {
    static final int FEATURES = 784, CLASSES = 10;
    static float[] weights, bias, leaves;

    interface Model { void answer(float[] x, int at, float[] out, int to); }

    static float[] floats(Path path) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(path));
        bytes.order(ByteOrder.LITTLE_ENDIAN); // Java's own order is the other
        float[] numbers = new float[bytes.remaining() / 4];
        bytes.asFloatBuffer().get(numbers);
        return numbers;
    }

    static void write(Path path, float[] numbers) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(4 * numbers.length);
        bytes.order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().put(numbers);
        Files.write(path, bytes.array());
    }

    static void linear(float[] x, int at, float[] out, int to) {
        float[] score = bias.clone();
        for (int j = 0; j < FEATURES; j++)
            for (int k = 0; k < CLASSES; k++)
                score[k] += x[at + j] * weights[j * CLASSES + k];
        float top = score[0], sum = 0;
        for (float s : score) top = Math.max(top, s);
        for (int k = 0; k < CLASSES; k++)
            sum += out[to + k] = (float) Math.exp(score[k] - top);
        for (int k = 0; k < CLASSES; k++) out[to + k] /= sum;
    }

    static void forest(float[] x, int at, float[] out, int to) {
        double[] sum = new double[CLASSES];
        for (int t = 0; t < Forest.TREES; t++) {
            int leaf = Forest.leaf(t, x, at);
            for (int k = 0; k < CLASSES; k++)
                sum[k] += leaves[leaf * CLASSES + k];
        }
        for (int k = 0; k < CLASSES; k++)
            out[to + k] = (float) (sum[k] / Forest.TREES);
    }

    static double all(Model model, float[] x, float[] out, int threads)
            throws InterruptedException {
        int rows = x.length / FEATURES;
        Thread[] team = new Thread[threads];
        long begun = System.nanoTime();
        for (int t = 0; t < threads; t++) {
            int first = (int) ((long) rows * t / threads);
            int last = (int) ((long) rows * (t + 1) / threads);
            team[t] = new Thread(() -> {
                for (int i = first; i < last; i++)
                    model.answer(x, i * FEATURES, out, i * CLASSES);
            });
            team[t].start();
        }
        for (Thread thread : team) thread.join();
        return rows / ((System.nanoTime() - begun) * 1e-9);
    }

    static String measured(String name, Model model, float[] x, Path folder,
                           int threads) throws Exception {
        int rows = x.length / FEATURES, calls = 20_000;
        float[] out = new float[rows * CLASSES], one = new float[CLASSES];
        long[] each = new long[calls];
        for (int i = 0; i < calls; i++) {
            long begun = System.nanoTime();
            model.answer(x, i % rows * FEATURES, one, 0);
            each[i] = System.nanoTime() - begun;
        }
        long first = each[0];
        long[] warm = Arrays.copyOfRange(each, calls / 2, calls);
        Arrays.sort(warm);
        all(model, x, out, 1);
        double alone = all(model, x, out, 1);
        double together = all(model, x, out, threads);
        write(folder.resolve(name + ".bin"), out);
        return String.format(java.util.Locale.ROOT,
            "\"%s\": {\"first\": %g, \"p50\": %g, \"p99\": %g, "
            + "\"rate\": %g, \"rate_all\": %g}", name, first * 1e-9,
            warm[warm.length / 2] * 1e-9, warm[warm.length * 99 / 100] * 1e-9,
            alone, together);
    }

    public static void main(String[] words) throws Exception {
        Path folder = Path.of(words[0]);
        int threads = Integer.parseInt(words[1]);
        weights = floats(folder.resolve("weights"));
        bias = floats(folder.resolve("bias"));
        leaves = floats(folder.resolve("leaves"));
        float[] rows = floats(folder.resolve("rows"));
        if (weights.length != FEATURES * CLASSES || bias.length != CLASSES
                || rows.length % FEATURES != 0)
            throw new IllegalArgumentException("not the files of this model");
        System.out.println("{"
            + measured("linear", Predict::linear, rows, folder, threads) + ", "
            + measured("forest", Predict::forest, rows, folder, threads)
            + "}");
    }
}
