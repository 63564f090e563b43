package dev.twinsync.backfill;

import static dev.twinsync.capture.OwnWorld.call;
import static dev.twinsync.capture.OwnWorld.get;
import static dev.twinsync.capture.OwnWorld.soon;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.capture.OwnWorld;
import dev.twinsync.record.Json;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.springframework.context.ConfigurableApplicationContext;

/**
 * Twinsync's state is put back to a backup, of an older version of its schema too, while both ends have gone on: the
 * steps of the README, but that the server copies the database instead of {@code pg_dump}.
 */
class RestoreTest {

    private static final String STATE = "restore_state";
    private static final String BACKUP = "restore_backup";
    private static final int USERS = 30;

    @Test
    void noEditIsLostWhereTheStateIsOlderThanBothEnds() throws Exception {
        try (OwnWorld world = new OwnWorld("restore")) {
            world.server.createDatabase(STATE);
            Map<String, Object> settings = new HashMap<>(Map.of("SYNC_DB_URL", world.server.url(STATE)));
            ConfigurableApplicationContext service = world.start(settings);
            world.app.update(
                    "insert into users (user_id, nickname) select 'r' || n, '众' || n from generate_series(1, ?) n",
                    USERS);
            soon(() -> assertThat(world.mini.all("user")).hasSize(USERS));
            settled(world);
            world.stop(service);
            copy(world, STATE, BACKUP);

            service = world.start(settings);
            for (String name : new String[] {"二", "三", "四"}) {
                edit(world, "r1", "应用" + name);
                soon(() -> assertThat(nicknameAtMini(world, "r1")).isEqualTo("应用" + name));
            }
            world.mini.edit("user", "r2", Map.of("nickname", "小程序二"));
            soon(() -> assertThat(nicknameAtApp(world, "r2")).isEqualTo("小程序二"));
            world.app.update("insert into users (user_id, nickname) values ('after', '备份之后')");
            soon(() -> assertThat(nicknameAtMini(world, "after")).isEqualTo("备份之后"));
            settled(world);
            world.stop(service);

            world.server.execute("postgres", "drop database " + STATE + " with (force)");
            copy(world, BACKUP, STATE);
            // as an older version left it
            world.server.execute(STATE, """
                    set search_path = sync;
                    drop index due_since;
                    create index due_since on due (entity, system, since, id);
                    alter table base drop column key_version;
                    delete from flyway_schema_history where version::int > 8""");
            edit(world, "r3", "停机时改");
            world.mini.edit("user", "r4", Map.of("nickname", "停机时小程序改"));

            settings.put("FIRST_KEY", "20260131");
            service = world.start(settings);
            backfill(service, "user");
            soon(() -> {
                assertThat(nicknameAtMini(world, "r1")).isEqualTo("应用四");
                assertThat(nicknameAtApp(world, "r1")).isEqualTo("应用四");
                assertThat(nicknameAtApp(world, "r2")).isEqualTo("小程序二");
                assertThat(nicknameAtMini(world, "r2")).isEqualTo("小程序二");
                assertThat(nicknameAtMini(world, "after")).isEqualTo("备份之后");
                assertThat(nicknameAtMini(world, "r3")).isEqualTo("停机时改");
                assertThat(nicknameAtApp(world, "r4")).isEqualTo("停机时小程序改");
            });
            // versions that were used before are used again, for other values
            for (String name : new String[] {"五", "六", "七", "八"}) {
                edit(world, "r1", "应用" + name);
                edit(world, "r2", "应用" + name);
                soon(() -> {
                    assertThat(nicknameAtMini(world, "r1")).isEqualTo("应用" + name);
                    assertThat(nicknameAtMini(world, "r2")).isEqualTo("应用" + name);
                });
            }
            assertThat(world.mini.violations())
                    .as("keys used for another write")
                    .isEmpty();
            assertThat(get(service, "/dead-letters").path("items")).isEmpty();
            assertThat(world.mini.all("user")).hasSize(USERS + 1);
            world.stop(service);
        } finally {
            dev.twinsync.devservices.Postgres server = dev.twinsync.devservices.Neighbours.get().postgres;
            for (String database : new String[] {STATE, BACKUP}) {
                server.execute("postgres", "drop database if exists " + database + " with (force)");
            }
        }
    }

    private static void copy(OwnWorld world, String from, String to) throws Exception {
        world.server.execute("postgres", "create database " + to + " template " + from);
    }

    private static void edit(OwnWorld world, String id, String nickname) {
        world.app.update(
                "update users set nickname = ?, updated_at = clock_timestamp() where user_id = ?", nickname, id);
    }

    private static String nicknameAtMini(OwnWorld world, String id) {
        return world.mini.read("user", id).path("nickname").asText();
    }

    private static String nicknameAtApp(OwnWorld world, String id) {
        return world.app.queryForObject("select nickname from users where user_id = ?", String.class, id);
    }

    /** Nothing is owed to anyone and both ends are known. */
    private static void settled(OwnWorld world) {
        soon(() -> {
            try (Connection connection = world.server.connect(STATE);
                    Statement statement = connection.createStatement();
                    ResultSet rows = statement.executeQuery("""
                            select (select count(*) from sync.due),
                              (select count(*) from sync.golden g where 2 <> (select count(*) from sync.base b
                                where b.entity = g.entity and b.id = g.id and b.known and not b.doubt))""")) {
                rows.next();
                assertThat(rows.getLong(1) + rows.getLong(2)).isZero();
            }
        });
    }

    private static void backfill(ConfigurableApplicationContext service, String entity) throws Exception {
        var answer = call(service, "ops-key", "POST", "/backfills", "{\"entity\":\"" + entity + "\"}");
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(202);
        JsonNode run = Json.read(answer.body());
        soon(() -> assertThat(get(service, "/backfills/" + run.path("run"))
                        .path("state")
                        .asText())
                .isEqualTo("done"));
    }
}
