package dev.twinsync;

import static org.assertj.core.api.Assertions.assertThat;

import dev.twinsync.proof.Anomaly;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/** People and programs edit both ends at once, for some seconds and with no regard for each other. */
class RandomEditsTest {

    private static final String USER = "rnd-u-";
    private static final String ORDER = "rnd-o-";
    private static final int THREADS = 4;
    private static final int EDITS = 500;
    private final Ends ends = Ends.shared();
    private final long seed = Long.getLong("seed", System.nanoTime());
    private final Edits edits = new Edits(ends.app.getDataSource(), ends.mini, "rnd-");

    @Test
    @Anomaly({Anomaly.Of.A1, Anomaly.Of.A6})
    void twoThousandEditsAtBothEndsAtOnceEndWithBothEqual() throws Exception {
        Ends.Oracle oracle = ends.new Oracle();
        int before = ends.mini.writes().size();
        ScheduledExecutorService clock = Executors.newScheduledThreadPool(THREADS);
        try {
            List<CompletableFuture<Void>> done = new ArrayList<>();
            for (int i = 0; i < THREADS; i++) {
                done.add(edits(clock, i));
            }
            CompletableFuture.allOf(done.toArray(CompletableFuture[]::new)).get(120, TimeUnit.SECONDS);
        } finally {
            clock.shutdownNow();
        }
        ends.quiet("rnd-");

        assertThat(ends.differences("user", USER)).as("seed %d", seed).isEmpty();
        assertThat(ends.differences("order", ORDER)).as("seed %d", seed).isEmpty();
        oracle.sawNothingWrong();
        assertThat(ends.letters("q=rnd-")).as("seed %d", seed).isEmpty();

        // and that was not for want of trying
        assertThat(edits.count()).isEqualTo(THREADS * EDITS);
        assertThat(edits.made().keySet())
                .contains(
                        "app user made",
                        "app user nickname",
                        "app user phone",
                        "app user notifications",
                        "app user deleted",
                        "app order made",
                        "app order status",
                        "app order items",
                        "app order amount",
                        "mini user made",
                        "mini user nickname",
                        "mini user phone",
                        "mini user notifications",
                        "mini order made",
                        "mini order status",
                        "mini order items",
                        "mini order amount");
        assertThat(edits.hardDeletes()).isBetween(Edits.HARD_DELETES, 2 * Edits.HARD_DELETES + 2);
        assertThat(ends.mini.writes().size() - before).isGreaterThan(200);
        assertThat(ends.state.queryForObject(
                        "select count(*) from history where starts_with(id, 'rnd-') and kind = 'merged'", Long.class))
                .isGreaterThan(500);
        assertThat(ends.state.queryForObject(
                        "select count(*) from conflict where starts_with(record_id, 'rnd-')", Long.class))
                .isGreaterThan(0);
    }

    /** One thread's edits, one every few milliseconds; of four threads two are at the app and two at the mini-program. */
    private CompletableFuture<Void> edits(ScheduledExecutorService clock, int thread) {
        Random random = new Random(seed + thread);
        AtomicInteger count = new AtomicInteger();
        CompletableFuture<Void> done = new CompletableFuture<>();
        clock.scheduleAtFixedRate(
                () -> {
                    try {
                        if (count.incrementAndGet() > EDITS) {
                            done.complete(null);
                            return;
                        }
                        edits.make(random, thread % 2 == 0 ? "app" : "mini");
                    } catch (RuntimeException | Error e) {
                        done.completeExceptionally(e);
                    }
                },
                0,
                10,
                TimeUnit.MILLISECONDS);
        return done;
    }
}
