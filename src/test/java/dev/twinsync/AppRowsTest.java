package dev.twinsync;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** One row of the app that can't be written holds up none of the others. */
class AppRowsTest {

    private final Ends ends = Ends.shared();

    private void made(String prefix, int users) {
        ends.app.update(
                "insert into users (user_id, nickname) select ? || n, '行' from generate_series(1, ?) n", prefix, users);
        ends.quiet(prefix);
    }

    private void editAtMini(String prefix, int users, String nickname) {
        for (int i = 1; i <= users; i++) {
            ends.mini.edit("user", prefix + i, Map.of("nickname", nickname));
        }
    }

    private List<String> at(String prefix, String nickname) {
        return ends.app.queryForList(
                "select user_id from users where starts_with(user_id, ?) and nickname = ?",
                String.class,
                prefix,
                nickname);
    }

    @Test
    void aRowThatATriggerRefusesIsALetterAndTheOthersArrive() {
        String prefix = "row-refused-";
        made(prefix, 20);
        ends.app.execute("""
                create function refuse_one() returns trigger language plpgsql as $$
                begin raise exception 'business rule'; end $$""");
        ends.app.execute("""
                create trigger refuse_one before update on users for each row
                when (old.user_id = 'row-refused-7') execute function refuse_one()""");
        try {
            editAtMini(prefix, 20, "改");
            Ends.soon(() -> assertThat(at(prefix, "改")).hasSize(19));
            Ends.soon(() ->
                    assertThat(ends.letters("state=open&key=" + prefix + 7)).hasSize(1));
        } finally {
            ends.app.execute("drop trigger refuse_one on users");
            ends.app.execute("drop function refuse_one()");
        }
        long letter =
                ends.letters("state=open&key=" + prefix + 7).get(0).path("id").asLong();
        assertThat(ends.letter(letter).toString()).contains("business rule");
        assertThat(ends.act(letter, "retry", "{}").statusCode()).isEqualTo(202);
        Ends.soon(() -> assertThat(at(prefix, "改")).hasSize(20));
    }

    @Test
    void aRowThatTheAppHasLockedWaitsAlone() throws Exception {
        String prefix = "row-locked-";
        made(prefix, 10);
        try (var lock = java.sql.DriverManager.getConnection(
                dev.twinsync.devservices.Neighbours.get().postgres.url(), "postgres", "postgres")) {
            lock.setAutoCommit(false);
            lock.createStatement().execute("select from users where user_id = '" + prefix + "3' for update");
            editAtMini(prefix, 10, "锁");
            Ends.soon(() -> assertThat(at(prefix, "锁")).hasSize(9));
            assertThat(at(prefix, "锁")).doesNotContain(prefix + 3);
            lock.rollback();
        }
        Ends.soon(() -> assertThat(at(prefix, "锁")).hasSize(10));
        assertThat(ends.letters("key=" + prefix + 3)).isEmpty();
    }

    @Test
    void eachVersionHasOneKeyHoweverManyCameBefore() {
        String prefix = "row-keys-";
        made(prefix, 1);
        for (int i = 1; i <= 4; i++) {
            String nickname = "版" + i;
            ends.app.update(
                    "update users set nickname = ?, updated_at = clock_timestamp() where user_id = ?",
                    nickname,
                    prefix + 1);
            Ends.soon(() -> assertThat(
                            ends.mini.read("user", prefix + 1).path("nickname").asText())
                    .isEqualTo(nickname));
            ends.quiet(prefix);
        }
        assertThat(ends.mini.writes().stream().filter(write -> write.id().equals(prefix + 1)))
                .hasSize(5)
                .allSatisfy(write -> assertThat(write.key()).matches("user/row-keys-1/\\d+"));
    }
}
