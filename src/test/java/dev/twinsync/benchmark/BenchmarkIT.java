package dev.twinsync.benchmark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.devservices.Broker;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Postgres;
import dev.twinsync.record.Json;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * The figures of the README. Database, broker and sandbox run beside the service, whose JVM is its own. What is wrong
 * fails; how fast it went is printed, with the raw loop's figure from the same run beside it.
 */
@Tag("benchmark")
class BenchmarkIT {

    private static final int ORDERS = Integer.getInteger("benchmark.orders", 100_000);
    private static final int USERS = 10_000;
    private static final int RATE = 200;

    /** A service is started once and runs for months: what counts is the last round, when its code is compiled. */
    private static final int ROUNDS = 3;

    private static final int SECONDS = Integer.getInteger("benchmark.seconds", 60);
    private static final String HEAP = "512m";

    private static final String MAKE_USERS = """
            insert into users (user_id, nickname, phone, language)
            select 'BU' || i, '用户' || i, '138' || lpad(i::text, 8, '0'), 'zh-CN' from generate_series(0, %d) i""";
    private static final String MAKE_ORDERS = """
            insert into orders (order_id, user_id, status, payment_amount, payment_method, paid_at)
            select 'B' || lpad(i::text, 8, '0'), 'BU' || (i %% 10000), 'paid', 10 + (i %% 9000) / 100.0, 'wechat_pay', now()
            from generate_series(1, %d) i""";
    private static final String MAKE_ITEMS = """
            insert into order_items (order_id, line_no, sku, title, quantity, unit_price)
            select o.order_id, n, 'SKU-' || n, '龙井茶 ' || n || ' 号 250 克', n, 19.90 * n
            from orders o cross join generate_series(1, 3) n
            where n <= 1 + right(o.order_id, 3)::int %% 3""";
    private static final String SHIP_ALL = """
            update orders set status = 'shipped', carrier = 'SF', tracking_number = 'SF%d' || substr(order_id, 2),
              shipped_at = coalesce(shipped_at, now()), updated_at = now()""";

    private final StringBuilder table = new StringBuilder();
    private Postgres postgres;
    private MiniProgram mini;
    private Service service;

    private record Cpu(Duration service, Duration database, Duration sandbox, Duration rest) {
        Cpu since(Cpu former) {
            return new Cpu(
                    service.minus(former.service),
                    database.minus(former.database),
                    sandbox.minus(former.sandbox),
                    rest.minus(former.rest));
        }

        String perMillion(int records) {
            return String.format(
                    Locale.ROOT,
                    "CPU s per million: service %.0f, database %.0f, sandbox %.0f, broker %.0f",
                    of(service, records),
                    of(database, records),
                    of(sandbox, records),
                    of(rest, records));
        }

        private static double of(Duration used, int records) {
            return used.toMillis() / 1e3 / records * 1e6;
        }
    }

    @Test
    void figures() throws Exception {
        try (Postgres database = Postgres.start(0);
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
                long[] waits = gently();
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
                row(
                        RATE + " changes/s by polling, commit to request",
                        String.format(
                                Locale.ROOT,
                                "p50 %d ms, p99 %d ms, max %d ms",
                                at(waits, 0.5),
                                at(waits, 0.99),
                                waits[waits.length - 1]),
                        "",
                        "");
                row("idle for " + SECONDS + " s", String.format(Locale.ROOT, "%.1f %% of a core", idle), "", "");
                note(
                        "service -Xmx%s: %d collections, %.0f ms paused in all, at most %d MiB left after one",
                        HEAP, gc.count(), gc.pausedMs(), gc.after());
            } finally {
                note(
                        "%d orders of 1 to 3 items, %d users; database (fsync on), broker, sandbox and service on %d processors, Java %s",
                        ORDERS, USERS, Runtime.getRuntime().availableProcessors(), Runtime.version());
                Files.writeString(Path.of("target", "benchmark", "figures.txt"), table);
                System.out.println(table);
            }
        }
    }

    private Map<String, String> settings(Broker broker) {
        return Map.ofEntries(
                Map.entry("APP_DB_URL", postgres.url()),
                Map.entry("APP_DB_USERNAME", "postgres"),
                Map.entry("APP_DB_PASSWORD", "postgres"),
                Map.entry("KAFKA_BROKERS", broker.address()),
                Map.entry("MINI_API_URL", mini.url()),
                Map.entry("MINI_API_KEY", "mini-api-key"),
                Map.entry("SYNC_API_KEY_APP", "app-key"),
                Map.entry("SYNC_API_KEY_MINI", "mini-key"),
                Map.entry("SYNC_API_KEY_OPS", "ops-key"),
                Map.entry("TWINSYNC_DEV", "true"));
    }

    private static void topic(Broker broker, String name) throws Exception {
        try (var admin = org.apache.kafka.clients.admin.Admin.create(
                Map.<String, Object>of("bootstrap.servers", broker.address()))) {
            admin.createTopics(List.of(new org.apache.kafka.clients.admin.NewTopic(name, 6, (short) 1)))
                    .all()
                    .get(30, TimeUnit.SECONDS);
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

    /** Nothing is due and nobody asks for anything new: the topics are worked off, echoes included. */
    private void quiet() throws IOException {
        Cpu[] last = {cpu()};
        await().atMost(Duration.ofMinutes(5))
                .pollInterval(Duration.ofSeconds(3))
                .until(() -> {
                    Cpu now = cpu();
                    boolean busy = now.since(last[0]).service().toMillis() > 900;
                    last[0] = now;
                    return !busy
                            && count(
                                            "select (select count(*) from sync.due) + (select count(*) from sync.base where doubt)")
                                    == 0;
                });
    }

    private long count(String sql) throws SQLException {
        try (Connection connection = postgres.connect();
                Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery(sql)) {
            rows.next();
            return rows.getLong(1);
        }
    }

    /** Changes users and orders in turn, each in a transaction of its own. @return the waits in milliseconds, sorted */
    private long[] gently() throws Exception {
        Map<String, Long> committed = new ConcurrentHashMap<>();
        Map<String, Long> waited = new ConcurrentHashMap<>();
        mini.watch((write, arrived) -> {
            JsonNode mark = write.entity().equals("user")
                    ? write.data().path("nickname")
                    : write.data().path("shipping_info").path("tracking_number");
            Long since = committed.get(mark.asText());
            if (since != null && write.code() == 0) {
                waited.putIfAbsent(mark.asText(), (arrived - since) / 1_000_000);
            }
        });
        int changes = RATE * SECONDS;
        Cpu before = cpu();
        ScheduledExecutorService clock = Executors.newSingleThreadScheduledExecutor();
        AtomicInteger next = new AtomicInteger();
        try (Connection connection = postgres.connect();
                PreparedStatement user = connection.prepareStatement(
                        "update users set nickname = ?, updated_at = now() where user_id = ?");
                PreparedStatement order = connection.prepareStatement(
                        "update orders set tracking_number = ?, updated_at = now() where order_id = ?")) {
            connection.setAutoCommit(false);
            var ticking = clock.scheduleAtFixedRate(
                    () -> {
                        int n = next.getAndIncrement();
                        if (n >= changes) {
                            return;
                        }
                        try {
                            String mark = "M" + n;
                            PreparedStatement change = n % 2 == 0 ? user : order;
                            change.setString(1, mark);
                            change.setString(
                                    2, n % 2 == 0 ? "BU" + n / 2 % USERS : String.format("B%08d", 1 + n / 2 % ORDERS));
                            change.executeUpdate();
                            committed.put(mark, System.nanoTime());
                            connection.commit();
                        } catch (SQLException e) {
                            throw new IllegalStateException(e);
                        }
                    },
                    0,
                    1_000_000_000L / RATE,
                    TimeUnit.NANOSECONDS);
            await().atMost(Duration.ofSeconds(SECONDS * 2L + 60))
                    .pollInterval(Duration.ofMillis(100))
                    .until(() -> {
                        if (ticking.isDone()) {
                            ticking.get();
                        }
                        return waited.size() == changes;
                    });
        } finally {
            clock.shutdown();
            clock.awaitTermination(10, TimeUnit.SECONDS);
            mini.watch(null);
        }
        note("%d changes a second: %s", RATE, cpu().since(before).perMillion(changes));
        return waited.values().stream().mapToLong(Long::longValue).sorted().toArray();
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
                    Map<String, JsonNode> there = mini.all("order");
                    List<String> differing = new ArrayList<>();
                    int[] count = {0};
                    String sql = Files.readString(Path.of("routes", "orders", "read-app-orders.sql"))
                            .replace("where o.order_id = any (:?ids)", "");
                    try (Connection connection = postgres.connect()) {
                        connection.setAutoCommit(false);
                        try (Statement statement = connection.createStatement()) {
                            statement.setFetchSize(2000);
                            try (ResultSet rows = statement.executeQuery(sql)) {
                                while (rows.next()) {
                                    count[0]++;
                                    String id = rows.getString("id");
                                    if (!same(Json.read(rows.getString("data")), there.get(id))) {
                                        differing.add(id);
                                    }
                                }
                            }
                        }
                    }
                    assertThat(differing).isEmpty();
                    assertThat(there).hasSize(count[0]).hasSize(ORDERS);
                });
        assertThat(mini.echoes()).as("writes that changed nothing").isZero();
        assertThat(mini.backwards()).as("writes of an older version").isZero();
        assertThat(mini.violations()).as("keys used for another write").isZero();
    }

    private static boolean same(JsonNode app, JsonNode mini) {
        boolean none = mini == null || mini.isNull() || mini.isMissingNode();
        if (app == null || app.isNull() || none) {
            return (app == null || app.isNull()) && none;
        }
        if (app.isObject()) {
            Set<String> names = new HashSet<>();
            app.fieldNames().forEachRemaining(names::add);
            mini.fieldNames().forEachRemaining(names::add);
            return names.stream().allMatch(name -> same(app.get(name), mini.get(name)));
        }
        if (app.isArray()) {
            boolean same = app.size() == mini.size();
            for (int i = 0; same && i < app.size(); i++) {
                same = same(app.get(i), mini.get(i));
            }
            return same;
        }
        if (app.isNumber()) {
            return app.decimalValue().compareTo(mini.decimalValue()) == 0;
        }
        if (app.equals(mini)) {
            return true;
        }
        return app.asText().contains("T")
                && mini.asText().contains("T")
                && OffsetDateTime.parse(app.asText()).isEqual(OffsetDateTime.parse(mini.asText()));
    }

    private Cpu cpu() throws IOException {
        ThreadMXBean threads = ManagementFactory.getThreadMXBean();
        long sandbox = 0;
        for (long id : threads.getAllThreadIds()) {
            var info = threads.getThreadInfo(id);
            if (info != null
                    && (info.getThreadName().startsWith("mini-program")
                            || info.getThreadName().startsWith("HTTP-Dispatcher"))) {
                sandbox += Math.max(0, threads.getThreadCpuTime(id));
            }
        }
        Duration ofSandbox = Duration.ofNanos(sandbox);
        Duration here = ProcessHandle.current().info().totalCpuDuration().orElse(Duration.ZERO);
        return new Cpu(
                service == null ? Duration.ZERO : service.cpu(), postgres.cpu(), ofSandbox, here.minus(ofSandbox));
    }

    private static double seconds(Duration duration) {
        return duration.toNanos() / 1e9;
    }

    private static String rate(double rate) {
        return String.format(Locale.ROOT, "%,.0f/s", rate);
    }

    private static String ratio(double figure, double raw) {
        return String.format(Locale.ROOT, "%.2f", figure / raw);
    }

    private static long at(long[] sorted, double quantile) {
        return sorted[(int) Math.min(sorted.length - 1L, Math.round(quantile * sorted.length))];
    }

    private void row(String what, String figure, String raw, String ratio) {
        table.append(String.format("%-52s %-36s %-12s %s%n", what, figure, raw, ratio));
    }

    private void note(String format, Object... values) {
        String line = String.format(Locale.ROOT, format, values);
        System.out.println(line);
        table.append("  ").append(line).append('\n');
    }
}
