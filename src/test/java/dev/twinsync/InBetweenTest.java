package dev.twinsync;

import static org.assertj.core.api.Assertions.assertThat;

import dev.twinsync.devservices.MiniProgram;
import java.sql.Connection;
import java.sql.Statement;
import java.util.Map;
import org.apache.camel.CamelContext;
import org.apache.camel.ServiceStatus;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What one system does between two steps of ours is overlooked at neither end. */
class InBetweenTest {

    private static final String ID = "between-1";

    private final Ends ends = Ends.shared();
    private final CamelContext camel = ends.service.getBean(CamelContext.class);

    @AfterEach
    void mergesAgain() throws Exception {
        ends.mini.letGo();
        if (camel.getRouteController().getRouteStatus("merge-users") != ServiceStatus.Started) {
            camel.getRouteController().resumeRoute("merge-users");
        }
    }

    private long applied() {
        return ends.mini.writes().stream()
                .filter(write -> write.id().equals(ID) && write.code() == 0)
                .count();
    }

    private String position(String system) {
        return ends.app.queryForObject(
                "select position from sync.base where entity = 'user' and id = ? and system = ?",
                String.class,
                ID,
                system);
    }

    @Test
    void anEditBetweenAWriteAndItsRepetitionIsNotOverlooked() throws Exception {
        ends.app.update("insert into users (user_id, nickname) values (?, '一')", ID);
        Ends.soon(() -> assertThat(ends.mini.read("user", ID)).isNotNull());
        ends.quiet(ID);
        long before = applied();
        ends.mini.hold();
        ends.mini.next(MiniProgram.Fault.APPLIED_THEN_RESET, 503, 503);
        ends.app.update("update users set nickname = '二', updated_at = clock_timestamp() where user_id = ?", ID);
        Ends.soon(() -> assertThat(ends.mini.isUnderWay("user", ID)).isTrue());
        // what is read from now on is merged when the write has its answer
        camel.getRouteController().suspendRoute("merge-users");
        ends.mini.letGo();
        Ends.soon(() -> assertThat(applied()).isEqualTo(before + 1));
        ends.mini.edit("user", ID, Map.of("language", "en-US"));
        Ends.soon(() -> assertThat(applied()).isEqualTo(before + 2));
        String answered = ends.mini.became("user", ID).get(1).position();
        Ends.soon(() -> assertThat(position("mini")).isEqualTo(answered));
        camel.getRouteController().resumeRoute("merge-users");
        Ends.soon(() -> assertThat(
                        ends.app.queryForObject("select language from users where user_id = ?", String.class, ID))
                .isEqualTo("en-US"));
        ends.quiet(ID);
        assertThat(ends.differences("user", ID)).isEmpty();
        assertThat(ends.letters("q=" + ID)).isEmpty();
    }

    /** A merge that has loaded the record stores what it came to when the write that it saw under way is long answered. */
    @Test
    void aValueThatIsTakenBackWhileItIsWrittenIsTakenBackThereToo() throws Exception {
        String id = "between-2";
        ends.app.update("insert into users (user_id, nickname) values (?, '一')", id);
        Ends.soon(() -> assertThat(ends.mini.read("user", id)).isNotNull());
        ends.quiet(id);
        ends.mini.hold();
        nickname(id, "二");
        Ends.soon(() -> assertThat(ends.mini.isUnderWay("user", id)).isTrue());
        try (Connection keeper = ends.app.getDataSource().getConnection();
                Statement statement = keeper.createStatement()) {
            keeper.setAutoCommit(false);
            statement.execute("select from sync.golden where entity = 'user' and id = '" + id + "' for update");
            nickname(id, "一");
            Ends.soon(() -> assertThat(ends.app.queryForObject(
                            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like 'update golden%'",
                            Integer.class))
                    .isEqualTo(1));
            ends.mini.letGo();
            // its echo is taken for one, and goes no further
            Ends.soon(() -> assertThat(ends.app.queryForObject(
                            "select detail is null and held ->> 'nickname' = '二' from sync.base where id = ? and system = 'mini'",
                            Boolean.class,
                            id))
                    .isTrue());
            keeper.rollback();
        }
        Ends.soon(() ->
                assertThat(ends.mini.read("user", id).path("nickname").asText()).isEqualTo("一"));
        ends.quiet(id);
        assertThat(ends.differences("user", id)).isEmpty();
    }

    private void nickname(String id, String nickname) {
        ends.app.update(
                "update users set nickname = ?, updated_at = clock_timestamp() where user_id = ?", nickname, id);
    }
}
