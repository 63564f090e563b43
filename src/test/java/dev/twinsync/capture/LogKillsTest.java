package dev.twinsync.capture;

import static dev.twinsync.capture.OwnWorld.soon;
import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DriverManagerDataSource;

/** The log's capture is broken at 30 random points while the app goes on; nothing is lost against its table. */
@Tag("proof")
class LogKillsTest {

    private static final Map<String, Object> BY_LOG = Map.of("CAPTURE_APP", "log");
    private static final String SLOT = "logkills_app_users";

    @Test
    void nothingIsLostAtThirtyRandomPoints() throws Exception {
        long seed = Long.getLong("twinsync.seed", System.nanoTime());
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        try (OwnWorld world = new OwnWorld("logkills")) {
            JdbcTemplate app = world.app;
            ConfigurableApplicationContext service = world.start(BY_LOG);
            AtomicBoolean going = new AtomicBoolean(true);
            AtomicInteger edits = new AtomicInteger();
            Thread traffic = new Thread(() -> traffic(world, going, edits, seed));
            traffic.start();
            for (int kill = 0; kill < 30; kill++) {
                int until = edits.get() + 20 + random.nextInt(100);
                soon(() -> assertThat(edits.get()).isGreaterThan(until));
                switch (random.nextInt(5)) {
                    case 0 -> {
                        world.stop(service);
                        service = world.start(BY_LOG);
                    }
                    case 1 -> {
                        ConfigurableApplicationContext former = service;
                        service = world.start(BY_LOG);
                        world.stop(former);
                    }
                    case 2 ->
                        app.update("update sync.table_log set owner = 'another', "
                                + "lease_until = clock_timestamp() + interval '1 s'");
                    default ->
                        app.queryForList(
                                "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = ?",
                                SLOT);
                }
            }
            going.set(false);
            traffic.join();
            soon(() -> {
                Map<String, com.fasterxml.jackson.databind.JsonNode> mini = world.mini.all("user");
                for (Map<String, Object> row : app.queryForList("select user_id, nickname from users")) {
                    assertThat(mini.get(row.get("user_id")).path("nickname").asText())
                            .isEqualTo(row.get("nickname"));
                }
            });
            assertThat(edits.get()).isGreaterThan(1000);
            assertThat(world.mini.backwards()).isZero();
        }
    }

    private static void traffic(OwnWorld world, AtomicBoolean going, AtomicInteger edits, long seed) {
        Random random = new Random(seed + 1);
        JdbcTemplate own =
                new JdbcTemplate(new DriverManagerDataSource(world.server.url(world.database), "postgres", "postgres"));
        while (going.get()) {
            int n = edits.incrementAndGet();
            // updated_at stays: nothing but the log can tell it
            own.update("""
                    insert into users (user_id, nickname, updated_at) values (?, ?, '2026-01-01')
                    on conflict (user_id) do update set nickname = excluded.nickname""", "k" + random.nextInt(500), "第" + n);
        }
    }
}
