package dev.twinsync.operations;

import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Asks one neighbour again and again, on a thread of its own. Health and gauges read the last answer: they never wait
 * for a neighbour that hangs, and however often they are read it is asked no oftener.
 */
final class Watch<T> implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(Watch.class);

    /**
     * @param value null where there was no answer
     * @param trouble why there was none, or null
     * @param since when it became so
     */
    record Answer<T>(T value, String trouble, Instant since) {}

    private record Asked<T>(Answer<T> answer, Instant at) {}

    private final String name;
    private final Duration stale;
    private final Instant began = Instant.now();
    private final ScheduledExecutorService thread;
    private volatile Asked<T> last;

    /** @param stale an answer older than this is none: the neighbour hangs */
    Watch(String name, Duration interval, Duration stale, Callable<T> question) {
        this.name = name;
        this.stale = stale;
        thread = Executors.newSingleThreadScheduledExecutor(run -> {
            Thread daemon = new Thread(run, "watch-" + name);
            daemon.setDaemon(true);
            return daemon;
        });
        thread.scheduleWithFixedDelay(() -> ask(question), 0, interval.toMillis(), TimeUnit.MILLISECONDS);
    }

    private void ask(Callable<T> question) {
        Asked<T> before = last;
        T value = null;
        String trouble = null;
        try {
            value = question.call();
        } catch (Exception e) {
            Throwable root = e;
            while (root.getCause() != null && root.getCause() != root) {
                root = root.getCause();
            }
            trouble = root.getClass().getSimpleName() + ": " + root.getMessage();
        }
        if (thread.isShutdown()) {
            return;
        }
        boolean wasWell = before == null || before.answer().trouble() == null;
        boolean same = before != null && wasWell == (trouble == null);
        if (trouble != null && wasWell) {
            LOG.warn("{} does not answer: {}", name, trouble);
        } else if (trouble == null && !wasWell) {
            LOG.info("{} answers again", name);
        }
        Instant now = Instant.now();
        last = new Asked<>(new Answer<>(value, trouble, same ? before.answer().since() : now), now);
    }

    Answer<T> answer() {
        Asked<T> asked = last;
        Instant at = asked == null ? began : asked.at();
        if (at.isBefore(Instant.now().minus(stale))) {
            return new Answer<>(
                    null, "no answer for " + Duration.between(at, Instant.now()).toSeconds() + " s", at);
        }
        return asked == null ? new Answer<>(null, "not asked yet", began) : asked.answer();
    }

    @Override
    public void close() {
        thread.shutdownNow();
    }
}
