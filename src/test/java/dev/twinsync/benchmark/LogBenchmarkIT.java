package dev.twinsync.benchmark;

import static org.awaitility.Awaitility.await;

import dev.twinsync.Uncommitted;
import dev.twinsync.devservices.Broker;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Postgres;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.function.LongSupplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * What the ways of capture cost: the log against a bare loop of the same engine, and the source database's processor
 * time by log and by polling. While that is measured nothing is merged: it is capture's own.
 */
@Tag("benchmark")
class LogBenchmarkIT extends Figures {

    private static final int RATE = 500;
    private static final int SESSIONS = 4;

    private static final String MANY_USERS = """
            insert into users (user_id, nickname, phone, language)
            select 'LU' || i, '用户' || i, '139' || lpad(i::text, 8, '0'), 'zh-CN' from generate_series(1, %d) i""";
    private static final String RENAME = """
            update users set nickname = 'round %d of ' || user_id, updated_at = now() where user_id like 'LU%%'""";
    private static final String SEND = """
            update orders set tracking_number = 'L%d' || substr(order_id, 2), updated_at = now()""";

    private static final Map<String, String> CHANGES = Map.of("user", RENAME, "order", SEND);

    private Broker broker;
    private Admin admin;
    private int round;

    private record Rate(double perSecond, Cpu cpu) {}

    @Test
    void captures() throws Exception {
        try (Postgres database = Postgres.start(0);
                Broker kafka = Broker.start(0);
                MiniProgram sandbox = MiniProgram.start(0);
                Admin asked = Admin.create(Map.of("bootstrap.servers", kafka.address()))) {
            admin = asked;
            postgres = database;
            broker = kafka;
            mini = sandbox;
            mini.keepsWrites(false);
            postgres.createAppTables();
            row("what", "figure", "bare loop", "ratio");
            Map<String, String> settings = new HashMap<>(settings(broker));
            settings.putAll(Map.of("CAPTURE_APP", "log", "VERIFY_EVERY", "0s", "VERIFY_SWEEP_DAYS", "0"));
            Map<String, Rate> byLog = new HashMap<>();
            Map<String, Rate> byPoll = new HashMap<>();
            try (Service process = Service.start(HEAP, settings)) {
                service = process;
                await().atMost(Duration.ofMinutes(2)).until(service::isReady);
                captureIs("log");
                postgres.execute(MAKE_USERS.formatted(USERS - 1));
                postgres.execute(MAKE_ORDERS.formatted(ORDERS));
                postgres.execute(MAKE_ITEMS.formatted());
                await().atMost(Duration.ofMinutes(5))
                        .pollInterval(Duration.ofSeconds(1))
                        .until(() -> mini.ids("order").size() == ORDERS
                                && mini.ids("user").size() == USERS);
                quiet();
                long[] waits = gently(RATE, SESSIONS);
                waits(RATE + " changes/s by log", waits);
                quiet();
                // a sweep would read again what nobody merges
                for (String flow : List.of("merge-users", "merge-orders", "sweep-app-users", "sweep-app-orders")) {
                    service.call("POST", "/flows/" + flow + "/pause", "{\"reason\":\"capture is measured alone\"}");
                }
                measured("users made", 1, MANY_USERS.formatted(ORDERS), observed("user"));
                for (String entity : List.of("user", "order")) {
                    byLog.put(entity, measured(entity, "log"));
                }
                service.call("POST", "/capture/app", "{\"scheme\":\"poll\",\"reason\":\"the other way\"}");
                captureIs("poll");
                for (String entity : List.of("user", "order")) {
                    byPoll.put(entity, measured(entity, "poll"));
                }
            }
            service = null;
            for (String entity : List.of("user", "order")) {
                String tables = entity.equals("user") ? "public.users" : "public.orders,public.order_items";
                topic(broker, "bare." + entity);
                Rate bare;
                try (BareLog log =
                        new BareLog(postgres, broker.address(), "bare_" + entity, tables, "bare." + entity)) {
                    bare = measured(entity, "bare loop", log::told);
                }
                Rate log = byLog.get(entity);
                row(
                        entity + "s captured by log into Kafka",
                        rate(log.perSecond()),
                        rate(bare.perSecond()),
                        ratio(log.perSecond(), bare.perSecond()));
                row(entity + "s captured by polling", rate(byPoll.get(entity).perSecond()), "", "");
                row(
                        entity + "s, the database's CPU s per million",
                        String.format(
                                Locale.ROOT,
                                "log %.0f, poll %.0f",
                                Cpu.of(log.cpu().database(), ORDERS),
                                Cpu.of(byPoll.get(entity).cpu().database(), ORDERS)),
                        String.format(Locale.ROOT, "%.0f", Cpu.of(bare.cpu().database(), ORDERS)),
                        "");
            }
            note(
                    "%d orders of 1 to 3 items, as many users; database (fsync on), broker, sandbox and service (-Xmx%s) on %d processors",
                    ORDERS, HEAP, Runtime.getRuntime().availableProcessors());
        } finally {
            keep("capture.txt");
        }
    }

    private void captureIs(String scheme) {
        await().atMost(Duration.ofMinutes(1))
                .pollInterval(Duration.ofMillis(200))
                .until(() -> service.call("GET", "/capture/app", null)
                        .path("running")
                        .asText()
                        .equals(scheme));
    }

    private Rate measured(String entity, String how) throws Exception {
        return measured(entity, how, observed(entity));
    }

    /** The last of some rounds: by then all code is compiled. */
    private Rate measured(String entity, String how, LongSupplier told) throws Exception {
        Rate last = null;
        for (int n = 1; n <= ROUNDS; n++) {
            last = measured(entity + "s by " + how, n, CHANGES.get(entity).formatted(++round), told);
        }
        return last;
    }

    /** Changes all records of an entity in one transaction; measures from its commit until Kafka has them all. */
    private Rate measured(String what, int n, String sql, LongSupplier told) throws Exception {
        long before = told.getAsLong();
        Cpu cpu;
        long committed;
        try (var connection = postgres.connect();
                var statement = connection.createStatement()) {
            connection.setAutoCommit(false);
            statement.execute(sql);
            cpu = cpu();
            committed = System.nanoTime();
            connection.commit();
        }
        await().atMost(Duration.ofMinutes(5))
                .pollDelay(Duration.ZERO)
                .pollInterval(Duration.ofMillis(20))
                .until(() -> told.getAsLong() >= before + ORDERS);
        double seconds = (System.nanoTime() - committed) / 1e9;
        Cpu used = cpu().since(cpu);
        note("%s, round %d: %.2f s; %s", what, n, seconds, used.perMillion(ORDERS));
        return new Rate(ORDERS / seconds, used);
    }

    /** How many observations of an entity Kafka has. */
    private LongSupplier observed(String entity) throws Exception {
        Map<TopicPartition, OffsetSpec> ends = Uncommitted.ends(admin, entity + ".observed");
        return () -> {
            try {
                return admin.listOffsets(ends).all().get().values().stream()
                        .mapToLong(ListOffsetsResultInfo::offset)
                        .sum();
            } catch (InterruptedException | ExecutionException e) {
                throw new IllegalStateException(e);
            }
        };
    }
}
