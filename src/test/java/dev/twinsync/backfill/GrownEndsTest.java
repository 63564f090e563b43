package dev.twinsync.backfill;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.devservices.Caller;
import dev.twinsync.devservices.Equality;
import dev.twinsync.record.Json;
import dev.twinsync.verification.World;
import java.math.BigDecimal;
import java.net.http.HttpResponse;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Two large ends that grew apart are brought together by a service with a small heap that is killed at it. */
@Tag("proof")
class GrownEndsTest {

    private static final Map<String, String> STILL = Map.of("CAPTURE_APP", "none", "CAPTURE_MINI", "none");

    /** A twentieth is at one end alone, and of what both have a hundredth differs. */
    private static final String USERS = """
            insert into users (user_id, nickname, language, updated_at)
            select 'u' || n, case when n %% 100 = 0 then '旧' else '众' end || n, 'zh-CN',
              timestamptz '2019-01-01Z' from generate_series(1, %1$d) n where n > %1$d / 20""";

    private static final String ORDERS = """
            insert into orders (order_id, user_id, status, payment_amount, currency, carrier, tracking_number, created_at,
              updated_at)
            select 'o' || n, 'u' || (1 + n %% %2$d), 'shipped', 30.50, 'CNY', 'SF',
              case when n %% 100 = 0 then 'NEW' else 'SF' end || n, timestamptz '2018-01-01Z', timestamptz '2021-01-01Z'
            from generate_series(1, %1$d) n where n > %1$d / 20""";

    private static final String ITEMS = """
            insert into order_items select 'o' || n, line, 'sku' || line, '茶' || n %% 100, line, 15.25
            from generate_series(1, %1$d) n, generate_series(1, 2) line where n > %1$d / 20""";

    private World world;
    private World.Service service;

    /** {@code -Dbackfill.orders=} another number; users are a fifth of them. */
    @Test
    void aMillionOrdersAndTheirUsersAreEqualAfterTwoKills() throws Exception {
        int orders = Integer.getInteger("backfill.orders", 1_000_000);
        int users = orders / 5;
        long seed = Long.getLong("twinsync.seed", System.nanoTime());
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        try (World own = new World("grown")) {
            world = own;
            world.mini.keepsWrites(false);
            // the schema of the state is made by the first start; the ends are filled before a backfill looks at them
            fill(users, orders);
            service = world.start(STILL);
            double usersTaken = loaded("user", users, random, 0);
            double ordersTaken = loaded("order", orders, random, 2);
            await().atMost(Duration.ofMinutes(20))
                    .pollInterval(Duration.ofSeconds(1))
                    .untilAsserted(() ->
                            assertThat(count("select count(*) from sync.due")).isZero());
            equal("user", "users", users);
            equal("order", "orders", orders);
            assertThat(world.mini.backwards()).isZero();
            assertThat(count("select count(*) from sync.dead_letter")).isZero();
            System.out.printf(
                    "first load: %,d users, %.0f/s; %,d orders, %.0f/s, killed twice; %d MiB of -Xmx512m left after a"
                            + " collection, at most%n",
                    users, users / usersTaken, orders, orders / ordersTaken, world.heap());
        }
    }

    private void fill(int users, int orders) throws SQLException {
        try (Connection connection = world.server.connect(world.database);
                Statement statement = connection.createStatement()) {
            statement.execute(USERS.formatted(users));
            statement.execute(ORDERS.formatted(orders, users));
            statement.execute(ITEMS.formatted(orders));
            statement.execute("analyze");
        }
        for (int n = 1; n <= users - users / 20; n++) {
            ObjectNode user = Json.MAPPER.createObjectNode();
            user.put("nickname", "众" + n).put("language", "zh-CN").put("deleted", false);
            world.mini.fill("user", "u" + n, user);
        }
        for (int n = 1; n <= orders - orders / 20; n++) {
            ObjectNode order = Json.MAPPER.createObjectNode();
            order.put("user_id", "u" + (1 + n % users))
                    .put("status", "shipped")
                    .put("currency", "CNY")
                    .put("deleted", false);
            order.put("payment_amount", new BigDecimal("30.50")).put("created_at", "2018-01-01T00:00:00.000000Z");
            order.putObject("shipping_info").put("carrier", "SF").put("tracking_number", "SF" + n);
            for (int line = 1; line <= 2; line++) {
                order.withArray("items")
                        .addObject()
                        .put("line_no", line)
                        .put("sku", "sku" + line)
                        .put("title", "茶" + n % 100)
                        .put("quantity", line)
                        .put("unit_price", new BigDecimal("15.25"));
            }
            world.mini.fill("order", "o" + n, order);
        }
    }

    /** Loads an entity; kills the service at random points. @return seconds until all of it was worked, restarts included */
    private double loaded(String entity, int records, Random random, int kills) throws Exception {
        long began = System.nanoTime();
        long run = asked(caller().post("ops-key", "/backfills", "{\"entity\":\"" + entity + "\"}"))
                .path("run")
                .asLong();
        for (int kill = 1; kill <= kills; kill++) {
            long at = (long) records * kill / (kills + 1) + random.nextInt(records / 10);
            await().atMost(Duration.ofMinutes(30))
                    .pollInterval(Duration.ofMillis(100))
                    .until(() -> count("select done from sync.backfill where id = " + run) >= at);
            service.kill();
            assertThat(count("select count(*) from sync.backfill where state = 'running' and id = " + run))
                    .as("killed at work")
                    .isEqualTo(1);
            service = world.start(STILL);
        }
        await().atMost(Duration.ofMinutes(30))
                .pollInterval(Duration.ofMillis(500))
                .until(() -> asked(caller().get("ops-key", "/backfills/" + run))
                        .path("state")
                        .asText()
                        .equals("done"));
        JsonNode done = asked(caller().get("ops-key", "/backfills/" + run));
        System.out.println(done);
        assertThat(done.path("done").asLong()).isEqualTo(records);
        JsonNode counts = done.path("counts");
        assertThat(counts.path("only_app").asLong()).isEqualTo(records / 20);
        assertThat(counts.path("only_mini").asLong()).isEqualTo(records / 20);
        assertThat(counts.path("differs").asLong()).isEqualTo(differing(records));
        return (System.nanoTime() - began) / 1e9;
    }

    /** Every hundredth of those that both ends have. */
    private static long differing(int records) {
        return (records - records / 20) / 100 - records / 20 / 100;
    }

    private void equal(String entity, String plural, int records) {
        await().atMost(Duration.ofMinutes(5))
                .pollInterval(Duration.ofSeconds(1))
                .untilAsserted(() -> {
                    try (Connection connection = world.server.connect(world.database)) {
                        Equality equality = Equality.of(connection, world.mini, entity, plural);
                        assertThat(equality.differing()).isEmpty();
                        assertThat(equality.records()).isEqualTo(records);
                    }
                });
    }

    private Caller caller() {
        return new Caller(service.url);
    }

    private static JsonNode asked(HttpResponse<String> answer) {
        assertThat(answer.statusCode()).as(answer.body()).isLessThan(300);
        return Json.read(answer.body());
    }

    private long count(String sql) throws SQLException {
        try (Connection connection = world.server.connect(world.database);
                Statement statement = connection.createStatement();
                var rows = statement.executeQuery(sql)) {
            rows.next();
            return rows.getLong(1);
        }
    }
}
