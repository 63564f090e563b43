package dev.twinsync.benchmark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.twinsync.devservices.Broker;
import dev.twinsync.devservices.Equality;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Postgres;
import java.io.IOException;
import java.sql.Connection;
import java.sql.Statement;
import java.time.Duration;
import java.time.Instant;
import java.util.HashSet;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * The figures of the README. Database, broker and sandbox run beside the service, whose JVM is its own. What is wrong
 * fails; how fast it went is printed, with the raw loop's figure from the same run beside it.
 */
@Tag("benchmark")
class BenchmarkIT extends Figures {

    private static final int RATE = 200;

    /** What 100,000 orders and their state fit into, as a server that is meant for them would have it. */
    private static final String BUFFERS = "1GB";

    private static final String SHIP_ALL = """
            update orders set status = 'shipped', carrier = 'SF', tracking_number = 'SF%d' || substr(order_id, 2),
              shipped_at = coalesce(shipped_at, now()), updated_at = now()""";

    @Test
    void figures() throws Exception {
        try (Postgres database = Postgres.start(0, BUFFERS);
                Broker broker = Broker.start(0);
                MiniProgram sandbox = MiniProgram.start(0);
                MiniProgram rawSandbox = MiniProgram.start(0)) {
            postgres = database;
            mini = sandbox;
            mini.keepsWrites(false);
            rawSandbox.keepsWrites(false);
            postgres.createAppTables();
            row("what", "figure", "raw loop", "ratio");
            try (Service process = Service.start(HEAP, settings(broker))) {
                service = process;
                Instant began = Instant.now();
                await().atMost(Duration.ofMinutes(2)).until(service::isReady);
                note(
                        "service ready after %d ms",
                        Duration.between(began, Instant.now()).toMillis());
                postgres.execute(MAKE_USERS.formatted(USERS - 1));
                await().atMost(Duration.ofMinutes(5))
                        .until(() -> mini.all("user").size() == USERS);
                double made = bulk("made", MAKE_ORDERS.formatted(ORDERS), MAKE_ITEMS.formatted());
                quiet();
                double updated = 0;
                for (int round = 1; round <= ROUNDS; round++) {
                    updated = bulk("updated, round " + round, SHIP_ALL.formatted(round));
                    equal();
                    quiet();
                }
                long[] waits = gently(RATE, 1);
                quiet();
                settled();
                double idle = idle();
                equal();
                Service.Collections gc = service.collections();
                service.close();

                RawLoop raw = new RawLoop(postgres, rawSandbox);
                double rawMade = ORDERS / seconds(raw.direct());
                double rawUpdated = ORDERS / seconds(raw.direct());
                String topic = "raw.orders";
                topic(broker, topic);
                double rawKafka = ORDERS / seconds(raw.throughKafka(broker.address(), topic, ORDERS));
                row(
                        "orders made in one transaction, by batch endpoint",
                        rate(made),
                        rate(rawMade),
                        ratio(made, rawMade));
                row("orders updated in one statement", rate(updated), rate(rawUpdated), ratio(updated, rawUpdated));
                row("the same, raw loop through a topic", rate(updated), rate(rawKafka), ratio(updated, rawKafka));
                waits(RATE + " changes/s by polling", waits);
                row("idle for " + SECONDS + " s", String.format(Locale.ROOT, "%.1f %% of a core", idle), "", "");
                note(
                        "service -Xmx%s: %d collections, %.0f ms paused in all, at most %d MiB left after one",
                        HEAP, gc.count(), gc.pausedMs(), gc.after());
            } finally {
                note(
                        "%d orders of 1 to 3 items, %d users; database (fsync on, buffers of %s), broker, sandbox and service on %d processors, Java %s",
                        ORDERS, USERS, BUFFERS, Runtime.getRuntime().availableProcessors(), Runtime.version());
                keep("figures.txt");
            }
        }
    }

    /** Runs statements in one transaction over all orders, and measures from its commit to the last of them written. */
    private double bulk(String what, String... statements) throws Exception {
        Set<String> open = new HashSet<>();
        AtomicLong last = new AtomicLong();
        AtomicInteger refused = new AtomicInteger();
        for (int i = 1; i <= ORDERS; i++) {
            open.add(String.format("B%08d", i));
        }
        // told under the sandbox's own lock, one after the other
        mini.watch((write, arrived) -> {
            if (!write.entity().equals("order")) {
                return;
            }
            if (write.code() != 0) {
                refused.incrementAndGet();
            } else if (open.remove(write.id())) {
                last.set(Math.max(last.get(), arrived));
            }
        });
        Cpu before = cpu();
        long committed;
        try (Connection connection = postgres.connect()) {
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                for (String sql : statements) {
                    statement.execute(sql);
                }
            }
            before = cpu();
            committed = System.nanoTime();
            connection.commit();
        }
        int requests = mini.requests();
        await().atMost(Duration.ofMinutes(5))
                .pollInterval(Duration.ofMillis(100))
                .until(() -> {
                    synchronized (mini) {
                        return open.isEmpty();
                    }
                });
        double seconds = (last.get() - committed) / 1e9;
        note(
                "%s: %.1f s, %d requests, %d refused; %s",
                what,
                seconds,
                mini.requests() - requests,
                refused.get(),
                cpu().since(before).perMillion(ORDERS));
        mini.watch(null);
        return ORDERS / seconds;
    }

    /** What a load leaves behind is done, above all the compiler's queue, which goes on for a minute or two. */
    private void settled() throws IOException {
        Cpu[] last = {cpu()};
        await().atMost(Duration.ofMinutes(5))
                .pollInterval(Duration.ofSeconds(20))
                .until(() -> {
                    Cpu now = cpu();
                    boolean settled = now.since(last[0]).service().toMillis() < 20_000 / 10;
                    last[0] = now;
                    return settled;
                });
    }

    private double idle() throws IOException {
        Cpu before = cpu();
        long began = System.nanoTime();
        await().atMost(Duration.ofSeconds(SECONDS + 30L))
                .pollDelay(Duration.ofSeconds(SECONDS))
                .until(() -> true);
        Cpu used = cpu().since(before);
        double wall = (System.nanoTime() - began) / 1e6;
        note(
                "idle: service %.1f %%, database %.1f %%, broker and sandbox %.1f %% of a core",
                100 * used.service().toMillis() / wall,
                100 * used.database().toMillis() / wall,
                100 * (used.rest().toMillis() + used.sandbox().toMillis()) / wall);
        return 100 * used.service().toMillis() / wall;
    }

    /** Both ends hold the same orders, field by field. */
    private void equal() throws Exception {
        await().atMost(Duration.ofMinutes(1))
                .pollInterval(Duration.ofSeconds(1))
                .untilAsserted(() -> {
                    try (Connection connection = postgres.connect()) {
                        Equality equality = Equality.of(connection, mini, "order", "orders");
                        assertThat(equality.differing()).isEmpty();
                        assertThat(equality.records()).isEqualTo(ORDERS);
                    }
                });
        assertThat(mini.echoes()).as("writes that changed nothing").isZero();
        assertThat(mini.backwards()).as("writes of an older version").isZero();
        assertThat(mini.violations()).as("keys used for another write").isEmpty();
    }
}
