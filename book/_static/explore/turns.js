// Who holds the GIL when: scenes/turns.py.
"use strict";
{
  const { axis, box, names, three } = exploreKit;
  const MILLI = 1e-3, JUST = 1e-12, QUESTIONS = 5, SHORT = 0.2;
  const STATES = { runs: "a", wants: "b", waits: "c" };

  /** Who runs when, if only so many threads can at a time. */
  function takeTurns(jobs, interval, slots) {
    const left = jobs.map((job) => [...job]);
    const queue = left.flatMap((job, thread) => (job.length ? [[thread, 0]] : []));
    const running = new Map(), waiting = new Map();
    const found = [];
    const note = (thread, state, start, stop) => found.push({ thread, state, start, stop });
    const sooner = (a, b) => (a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]) ? a : b);
    let now = 0;
    while (queue.length || running.size || waiting.size) {
      while (queue.length && running.size < slots) {
        const [thread, since] = queue.shift();
        if (now > since) note(thread, "wants", since, now);
        running.set(thread, now);
      }
      const events = [...running, ...waiting].map(([one, at]) => [at + left[one][0], one]);
      const [began, first] = [...running].map(([one, at]) => [at, one])
        .reduce(sooner, [Infinity, -1]);
      const patience = queue.length && running.size
        ? Math.max(began, queue[0][1]) + interval
        : Infinity;
      const [next, thread] = events.reduce(sooner);
      if (patience < next - JUST) {
        now = patience;
        running.delete(first);
        left[first][0] -= now - began;
        note(first, "runs", began, now);
        queue.push([first, now]);
        continue;
      }
      now = next;
      const ran = running.has(thread);
      const from = ran ? running : waiting;
      note(thread, ran ? "runs" : "waits", from.get(thread), now);
      from.delete(thread);
      left[thread].shift();
      if (!left[thread].length) continue;
      if (ran) waiting.set(thread, now);
      else queue.push([thread, now]);
    }
    return found.sort((a, b) => a.start - b.start || a.thread - b.thread);
  }

  exploreKit.define("turns", (given) => {
    const { lock, busy, work, asking, answer, interval, cpus } = given;
    const asks = [SHORT, ...Array(QUESTIONS).fill([answer, SHORT]).flat()];
    const jobs = [...Array(busy).fill([work]), ...Array(asking).fill(asks)];
    const turns = takeTurns(
      jobs.map((job) => job.map((part) => part * MILLI)),
      interval * MILLI,
      lock === "With the GIL" ? 1 : cpus,
    );
    const labels = [
      ...Array.from({ length: busy }, (_, n) => `C${n + 1}`),
      ...Array.from({ length: asking }, (_, n) => `A${n + 1}`),
    ];
    const spent = jobs.map(() => ({ runs: 0, wants: 0, waits: 0 }));
    const ends = jobs.map(() => 0);
    const marks = turns.map(({ thread, state, start, stop }) => {
      const thin = state === "runs" ? 0.12 : 0.3;
      spent[thread][state] += (stop - start) / MILLI;
      ends[thread] = Math.max(ends[thread], stop / MILLI);
      return box(STATES[state], [start / MILLI, stop / MILLI], [thread + thin, thread + 1 - thin]);
    });
    const end = Math.max(0, ...ends);
    const alone = jobs.reduce((sum, job) => sum + job.reduce((a, b) => a + b), 0);
    let said = `${lock}. Threads that compute: ${busy}, that ask: ${asking}. They take` +
      ` ${three(end)} ms, one after the other ${three(alone)} ms.`;
    if (asking) {
      const wanted = spent.slice(busy).reduce((sum, one) => sum + one.wants, 0);
      said += ` For each of its ${QUESTIONS} answers of ${three(answer)} ms a thread that` +
        ` asks stands in the queue for ${three(wanted / asking / QUESTIONS)} ms.`;
    }
    return {
      alt: `A timeline of ${jobs.length} lanes, one a thread: C computes, A asks. Tall` +
        " boxes where it runs, lower hatched ones where it wants to run and may not," +
        " lower plain ones where it waits for an answer.",
      said,
      head: ["thread", ...Object.keys(STATES), "ends"],
      rows: labels.map((label, n) => [
        label, ...Object.keys(STATES).map((state) => `${three(spent[n][state])} ms`),
        `${three(ends[n])} ms`,
      ]),
      height: 320,
      x: axis("milliseconds", end || 1),
      y: { ...names("thread", labels.length ? labels : [""]), down: true, bare: true },
      marks,
    };
  });
}
