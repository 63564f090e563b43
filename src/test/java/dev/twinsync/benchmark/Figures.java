package dev.twinsync.benchmark;

import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.devservices.Broker;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.devservices.Postgres;
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
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** What benchmarks have in common: the neighbours, the load, the processors' time, and the table that is printed. */
abstract class Figures {

    static final int ORDERS = Integer.getInteger("benchmark.orders", 100_000);
    static final int USERS = 10_000;

    /** A service is started once and runs for months: what counts is the last round, when its code is compiled. */
    static final int ROUNDS = Integer.getInteger("benchmark.rounds", 5);

    static final int SECONDS = Integer.getInteger("benchmark.seconds", 60);
    static final String HEAP = "512m";
    static final String MAKE_USERS = """
            insert into users (user_id, nickname, phone, language)
            select 'BU' || i, '用户' || i, '138' || lpad(i::text, 8, '0'), 'zh-CN' from generate_series(0, %d) i""";
    static final String MAKE_ORDERS = """
            insert into orders (order_id, user_id, status, payment_amount, payment_method, paid_at)
            select 'B' || lpad(i::text, 8, '0'), 'BU' || (i %% 10000), 'paid', 10 + (i %% 9000) / 100.0, 'wechat_pay', now()
            from generate_series(1, %d) i""";
    static final String MAKE_ITEMS = """
            insert into order_items (order_id, line_no, sku, title, quantity, unit_price)
            select o.order_id, n, 'SKU-' || n, '龙井茶 ' || n || ' 号 250 克', n, 19.90 * n
            from orders o cross join generate_series(1, 3) n
            where n <= 1 + right(o.order_id, 3)::int %% 3""";

    private final StringBuilder table = new StringBuilder();
    Postgres postgres;
    MiniProgram mini;
    Service service;

    record Cpu(Duration service, Duration database, Duration sandbox, Duration rest) {
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

        static double of(Duration used, int records) {
            return used.toMillis() / 1e3 / records * 1e6;
        }
    }

    Map<String, String> settings(Broker broker) {
        return Neighbours.settings(postgres.url(), broker, mini);
    }

    static void topic(Broker broker, String name) throws Exception {
        try (var admin = org.apache.kafka.clients.admin.Admin.create(
                Map.<String, Object>of("bootstrap.servers", broker.address()))) {
            admin.createTopics(List.of(new org.apache.kafka.clients.admin.NewTopic(name, 6, (short) 1)))
                    .all()
                    .get(30, TimeUnit.SECONDS);
        }
    }

    /** Nothing is due and nobody asks for anything new: the topics are worked off, echoes included. */
    void quiet() throws IOException {
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

    long count(String sql) throws SQLException {
        try (Connection connection = postgres.connect();
                Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery(sql)) {
            rows.next();
            return rows.getLong(1);
        }
    }

    /**
     * Changes users and orders in turn, each in a transaction of its own.
     *
     * @param rate changes a second
     * @param sessions that commit side by side: one alone may not come to the rate
     * @return the waits from commit to request in milliseconds, sorted
     */
    long[] gently(int rate, int sessions) throws Exception {
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
        int changes = rate * SECONDS;
        Cpu before = cpu();
        ScheduledExecutorService clock = Executors.newScheduledThreadPool(sessions);
        AtomicInteger next = new AtomicInteger();
        List<Connection> connections = new ArrayList<>();
        List<ScheduledFuture<?>> ticking = new ArrayList<>();
        try {
            for (int session = 0; session < sessions; session++) {
                Connection connection = postgres.connect();
                connections.add(connection);
                connection.setAutoCommit(false);
                ticking.add(clock.scheduleAtFixedRate(
                        change(connection, next, changes, committed),
                        session * 1_000_000_000L / rate,
                        1_000_000_000L * sessions / rate,
                        TimeUnit.NANOSECONDS));
            }
            await().atMost(Duration.ofSeconds(SECONDS * 2L + 60))
                    .pollInterval(Duration.ofMillis(100))
                    .until(() -> {
                        for (ScheduledFuture<?> one : ticking) {
                            if (one.isDone()) {
                                one.get();
                            }
                        }
                        return waited.size() == changes;
                    });
        } finally {
            clock.shutdown();
            clock.awaitTermination(10, TimeUnit.SECONDS);
            mini.watch(null);
            for (Connection connection : connections) {
                connection.close();
            }
        }
        note("%d changes a second: %s", rate, cpu().since(before).perMillion(changes));
        return waited.values().stream().mapToLong(Long::longValue).sorted().toArray();
    }

    private static Runnable change(Connection connection, AtomicInteger next, int changes, Map<String, Long> committed)
            throws SQLException {
        PreparedStatement user =
                connection.prepareStatement("update users set nickname = ?, updated_at = now() where user_id = ?");
        PreparedStatement order = connection.prepareStatement(
                "update orders set tracking_number = ?, updated_at = now() where order_id = ?");
        return () -> {
            int n = next.getAndIncrement();
            if (n >= changes) {
                return;
            }
            try {
                String mark = "M" + n;
                PreparedStatement change = n % 2 == 0 ? user : order;
                change.setString(1, mark);
                change.setString(2, n % 2 == 0 ? "BU" + n / 2 % USERS : String.format("B%08d", 1 + n / 2 % ORDERS));
                change.executeUpdate();
                committed.put(mark, System.nanoTime());
                connection.commit();
            } catch (SQLException e) {
                throw new IllegalStateException(e);
            }
        };
    }

    Cpu cpu() throws IOException {
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

    static double seconds(Duration duration) {
        return duration.toNanos() / 1e9;
    }

    static String rate(double rate) {
        return String.format(Locale.ROOT, "%,.0f/s", rate);
    }

    static String ratio(double figure, double raw) {
        return String.format(Locale.ROOT, "%.2f", figure / raw);
    }

    private static long at(long[] sorted, double quantile) {
        return sorted[(int) Math.min(sorted.length - 1L, Math.round(quantile * sorted.length))];
    }

    void row(String what, String figure, String raw, String ratio) {
        table.append(String.format("%-52s %-36s %-12s %s%n", what, figure, raw, ratio));
    }

    void waits(String what, long[] sorted) {
        String figure = String.format(
                Locale.ROOT,
                "p50 %d ms, p99 %d ms, max %d ms",
                at(sorted, 0.5),
                at(sorted, 0.99),
                sorted[sorted.length - 1]);
        row(what + ", commit to request", figure, "", "");
    }

    void note(String format, Object... values) {
        String line = String.format(Locale.ROOT, format, values);
        System.out.println(line);
        table.append("  ").append(line).append('\n');
    }

    /** Prints the table and keeps it in a file. */
    void keep(String file) throws IOException {
        Files.createDirectories(Path.of("target", "benchmark"));
        Files.writeString(Path.of("target", "benchmark", file), table);
        System.out.println(table);
    }
}
