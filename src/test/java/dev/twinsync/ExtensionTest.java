package dev.twinsync;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.devservices.Broker;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Neighbours;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.boot.SpringApplication;
import org.springframework.context.ConfigurableApplicationContext;

/**
 * What an integrator does without Java, in a routes folder and a world of their own: one more entity, made as the README
 * says by copying a folder and replacing a word, and one more field, which the mini-program calls otherwise.
 */
class ExtensionTest {

    private static final String DATABASE = "extension";

    @TempDir
    private static Path routes;

    private static Broker broker;
    private static MiniProgram mini;
    private static ConfigurableApplicationContext service;
    private static Ends ends;

    @BeforeAll
    static void start() throws Exception {
        Neighbours neighbours = Neighbours.get();
        neighbours.postgres.createDatabase(DATABASE);
        neighbours.postgres.createAppTables(DATABASE);
        neighbours.postgres.execute(DATABASE, """
                create table coupons (
                  coupon_id varchar(64) primary key, user_id varchar(64) not null, title text,
                  discount numeric(10, 2) not null, expires_at timestamptz, deleted boolean not null default false,
                  updated_at timestamptz not null default now());
                alter table users add birthday date""");
        addEntity();
        addField();
        broker = Broker.start(0);
        mini = MiniProgram.start(0);
        Map<String, Object> settings = new HashMap<>(neighbours.settings());
        settings.put("APP_DB_URL", neighbours.postgres.url(DATABASE));
        settings.put("KAFKA_BROKERS", broker.address());
        settings.put("MINI_API_URL", mini.url());
        settings.put("ROUTES_DIR", routes.toString());
        SpringApplication application = new SpringApplication(Twinsync.class);
        application.setDefaultProperties(settings);
        application.setRegisterShutdownHook(false);
        service = application.run();
        ends = new Ends(service, neighbours.postgres.url(DATABASE), mini);
    }

    @AfterAll
    static void stop() throws Exception {
        service.close();
        mini.close();
        broker.close();
    }

    /** The users' folder with its last word replaced, and a schema and SQL for what a coupon is. */
    private static void addEntity() throws IOException {
        try (Stream<Path> files = Files.walk(Path.of("routes"))) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                Path copy = routes.resolve(Path.of("routes").relativize(file).toString());
                Files.createDirectories(copy.getParent());
                Files.copy(file, copy);
            }
        }
        Path coupons = Files.createDirectories(routes.resolve("coupons"));
        try (Stream<Path> files = Files.list(Path.of("routes", "users"))) {
            for (Path file : files.filter(file -> !file.toString().endsWith(".schema.yaml"))
                    .toList()) {
                Files.writeString(
                        coupons.resolve(file.getFileName().toString().replace("user", "coupon")),
                        Files.readString(file).replace("user", "coupon"));
            }
        }
        for (String file : List.of("coupon.schema.yaml", "read-app-coupons.sql", "write-app-coupons.sql")) {
            try (var source = ExtensionTest.class.getResourceAsStream("/coupons-routes/" + file)) {
                Files.write(coupons.resolve(file), source.readAllBytes());
            }
        }
    }

    private static void addField() throws IOException {
        change("user.schema.yaml", "properties:\n", """
                properties:
                  birthday:
                    type: string
                    pattern: "[0-9]{4}-[0-9]{2}-[0-9]{2}"
                    rule: newest
                """);
        change("read-app-users.sql", "'unionid', unionid,", "'unionid', unionid, 'birthday', birthday,");
        change("write-app-users.sql", "unionid text,", "unionid text, birthday date,");
        change(
                "write-app-users.sql",
                "update users u set",
                "update users u set birthday = case when jsonb_exists(i.data, 'birthday') then i.birthday else u.birthday end,");
        change("write-app-users.sql", "insert into users (user_id,", "insert into users (birthday, user_id,");
        change("write-app-users.sql", "select id, nickname", "select birthday, id, nickname");
        for (String mapping : List.of("batch-mini-users.jslt", "write-mini-users.jslt")) {
            change(
                    mapping,
                    "{\"data\": .data, * : .}",
                    "{\"data\": {for (.data) (if (.key == \"birthday\") \"birth_date\" else .key) : .value}, * : .}");
        }
        for (String mapping : List.of("find-mini-users.jslt", "read-mini-users.jslt")) {
            change(
                    mapping,
                    "{\"data\": .data, * : .}",
                    "{\"data\": {for (.data) (if (.key == \"birth_date\") \"birthday\" else .key) : .value}, * : .}");
        }
    }

    private static void change(String name, String from, String to) throws IOException {
        Path file = routes.resolve("users").resolve(name);
        String text = Files.readString(file);
        assertThat(text).as(name).contains(from);
        Files.writeString(file, text.replace(from, to));
    }

    @Test
    void anEntityAddedByFilesAloneCrossesBothWays() {
        ends.app.update("insert into coupons (coupon_id, user_id, title, discount, expires_at)"
                + " values ('c-1', 'u', ' 满减 ', 20.50, '2030-01-01T00:00:00+08:00')");
        Ends.soon(() -> {
            JsonNode there = mini.read("coupon", "c-1");
            assertThat(there.path("title").asText()).isEqualTo("满减");
            assertThat(there.path("discount").decimalValue().toPlainString()).isEqualTo("20.50");
            assertThat(there.path("expires_at").asText()).isEqualTo("2029-12-31T16:00:00.000000Z");
        });
        mini.edit("coupon", "c-1", Map.of("discount", new BigDecimal("15")));
        mini.edit("coupon", "c-2", Map.of("user_id", "u", "discount", new BigDecimal("1.10")));
        Ends.soon(() -> assertThat(
                        ends.app.queryForList("select discount::text from coupons order by coupon_id", String.class))
                .containsExactly("15.00", "1.10"));
        assertThat(ends.post("mini-key", "/sync_coupon_data", "{\"coupon_id\":\"c-2\",\"data\":{\"title\":\"新人\"}}")
                        .statusCode())
                .isEqualTo(202);
        Ends.soon(() -> assertThat(
                        ends.app.queryForObject("select title from coupons where coupon_id = 'c-2'", String.class))
                .isEqualTo("新人"));
        ends.app.update("delete from coupons where coupon_id = 'c-1'");
        Ends.soon(() -> assertThat(mini.read("coupon", "c-1").path("deleted").asBoolean())
                .isTrue());
        ends.quiet("c-");
        assertThat(ends.differences("coupon", "c-")).isEmpty();
        assertThat(ends.get("/coupons/c-2").path("data").path("title").asText()).isEqualTo("新人");
        assertThat(ends.letters("entity=coupon")).isEmpty();
    }

    @Test
    void aFieldAddedByFilesAloneIsRenamedBothWaysAndClearedToo() {
        ends.app.update("insert into users (user_id, nickname, birthday) values ('b-1', '甲', '1990-02-28')");
        Ends.soon(() -> {
            JsonNode there = mini.read("user", "b-1");
            assertThat(there.path("birth_date").asText()).isEqualTo("1990-02-28");
            assertThat(there.has("birthday")).isFalse();
        });
        mini.edit("user", "b-1", Map.of("birth_date", "1991-03-01"));
        Ends.soon(() -> assertThat(birthday()).isEqualTo("1991-03-01"));

        // read by its key as well: the app's edit meets one that the mini-program has made meanwhile
        mini.hold();
        try {
            ends.app.update(
                    "update users set birthday = '1992-04-02', updated_at = clock_timestamp() where user_id = 'b-1'");
            Ends.soon(() -> assertThat(mini.underWay()).isEqualTo(1));
            mini.edit("user", "b-1", Map.of("nickname", "乙"));
        } finally {
            mini.letGo();
        }
        Ends.soon(() ->
                assertThat(mini.read("user", "b-1").path("birth_date").asText()).isEqualTo("1992-04-02"));
        Ends.soon(() -> assertThat(
                        ends.app.queryForObject("select nickname from users where user_id = 'b-1'", String.class))
                .isEqualTo("乙"));

        ends.app.update("update users set birthday = null, updated_at = clock_timestamp() where user_id = 'b-1'");
        Ends.soon(() -> assertThat(mini.read("user", "b-1").has("birth_date")).isFalse());
        Map<String, Object> cleared = new HashMap<>();
        mini.edit("user", "b-1", Map.of("birth_date", "1993-05-03"));
        Ends.soon(() -> assertThat(birthday()).isEqualTo("1993-05-03"));
        cleared.put("birth_date", null);
        mini.edit("user", "b-1", cleared);
        Ends.soon(() -> assertThat(birthday()).isNull());
        assertThat(ends.get("/users/b-1").path("systems").path("mini").path("altered"))
                .isEmpty();
    }

    private String birthday() {
        return ends.app.queryForObject("select birthday::text from users where user_id = 'b-1'", String.class);
    }
}
