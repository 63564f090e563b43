package dev.twinsync;

import static org.assertj.core.api.Assertions.assertThat;

import dev.twinsync.capture.Capture;
import dev.twinsync.proof.Anomaly;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Timestamp;
import java.time.Duration;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the app's database does that makes changes hard to see. */
class CaptureTest {

    private static int number;

    private final Ends ends = Ends.shared();
    private String id;

    @BeforeEach
    void freshRecord() {
        id = "cap-" + ++number + "-";
    }

    private void insert(String user) {
        ends.app.update("insert into users (user_id, nickname) values (?, '前')", user);
        crosses(user, "前");
    }

    private void crosses(String user, String nickname) {
        Ends.soon(() -> assertThat(ends.mini.read("user", user).path("nickname").asText())
                .isEqualTo(nickname));
    }

    private void deletedAtMini(String user, boolean deleted) {
        ends.swept(() -> assertThat(ends.mini.read("user", user).path("deleted").asBoolean())
                .isEqualTo(deleted));
    }

    private Connection transaction() throws SQLException {
        Connection connection = ends.app.getDataSource().getConnection();
        connection.setAutoCommit(false);
        return connection;
    }

    /** Updates as apps do, with the time at which the transaction began. */
    private static void update(Connection connection, String user) throws SQLException {
        try (PreparedStatement statement =
                connection.prepareStatement("update users set nickname = '后', updated_at = now() where user_id = ?")) {
            statement.setString(1, user);
            assertThat(statement.executeUpdate()).isEqualTo(1);
        }
    }

    private void edit(String user) {
        ends.app.update("update users set nickname = '后', updated_at = clock_timestamp() where user_id = ?", user);
    }

    /** Longer than what a poll lists again anyway. */
    private void longAfter(Timestamp moment) {
        Awaitility.await()
                .atMost(Duration.ofSeconds(20))
                .until(() -> Boolean.TRUE.equals(ends.app.queryForObject(
                        "select clock_timestamp() > cast(? as timestamptz) + interval '4 s'", Boolean.class, moment)));
    }

    private Timestamp now() {
        return ends.app.queryForObject("select clock_timestamp()", Timestamp.class);
    }

    @Test
    @Anomaly(Anomaly.Of.A3)
    void rowsOfTransactionsThatCommitLongAfterOthersAreNotLost() throws Exception {
        for (int n = 1; n <= 5; n++) {
            insert(id + n);
        }
        try (Connection first = transaction();
                Connection second = transaction();
                Connection third = transaction()) {
            update(first, id + 1);
            update(second, id + 2);
            update(third, id + 3);
            third.createStatement().execute("prepare transaction '" + id + "'");
            Timestamp written = now();
            edit(id + 4);
            crosses(id + 4, "后");
            longAfter(written);
            ends.looked();
            second.commit();
            // the oldest is still under way, and holds up nobody
            crosses(id + 2, "后");
            edit(id + 5);
            crosses(id + 5, "后");
            first.commit();
            ends.looked();
            assertThat(ends.mini.read("user", id + 3).path("nickname").asText()).isEqualTo("前");
            ends.app.execute("commit prepared '" + id + "'");
            crosses(id + 1, "后");
            crosses(id + 3, "后");
        }
    }

    /** It has no transaction id of its own until it writes, and its row is dated by its beginning. */
    @Test
    @Anomaly(Anomaly.Of.A3)
    void aRowOfATransactionThatFirstOnlyReadIsNotLost() throws Exception {
        insert(id);
        insert(id + "other");
        try (Connection slow = transaction()) {
            slow.createStatement().executeQuery("select now(), count(*) from users");
            longAfter(now());
            edit(id + "other");
            crosses(id + "other", "后");
            update(slow, id);
            slow.commit();
        }
        crosses(id, "后");
    }

    @Test
    void aRowDatedInTheFutureIsSeenAtOnceAndHidesNothingAfterIt() {
        insert(id);
        insert(id + "other");
        ends.app.update(
                "update users set nickname = '未来', updated_at = now() + interval '1 day' where user_id = ?", id);
        crosses(id, "未来");
        edit(id + "other");
        crosses(id + "other", "后");
        edit(id);
        crosses(id, "后");
    }

    @Test
    @Anomaly(Anomaly.Of.A5)
    void moreRowsOfOneMicrosecondThanAPageHoldsAreAllSeenAndTheirMassDeletionIsHeldBack() {
        ends.app.update("insert into users (user_id, nickname) select ? || n, '前' from generate_series(1, 3000) n", id);
        Ends.soon(() -> assertThat(held("前")).isEqualTo(3000));
        ends.app.update("update users set nickname = '后', updated_at = now() where starts_with(user_id, ?)", id);
        assertThat(ends.app.queryForObject(
                        "select count(distinct updated_at) from users where starts_with(user_id, ?)", Long.class, id))
                .isEqualTo(1);
        Ends.soon(() -> assertThat(held("后")).isEqualTo(3000));

        Capture capture = ends.service.getBean(Capture.class);
        int gone = ends.app.update("delete from users where user_id like ?", id + "1%");
        assertThat(gone).isEqualTo(1111);
        ends.swept(() -> assertThat(capture.brake("app", "user"))
                .hasValueSatisfying(why -> assertThat(why).contains("1111")));
        ends.looked();
        assertThat(deleted()).isZero();
        assertThat(ends.post("app-key", "/sweeps/app/users/release", "").statusCode())
                .isEqualTo(403);

        assertThat(ends.post("ops-key", "/sweeps/app/users/release", "").statusCode())
                .isEqualTo(200);
        ends.swept(() -> assertThat(deleted()).isEqualTo(gone));
        assertThat(capture.brake("app", "user")).isEmpty();
        assertThat(ends.post("ops-key", "/sweeps/app/users/release", "").statusCode())
                .isEqualTo(409);
    }

    private long held(String nickname) {
        return ends.mini.all("user").entrySet().stream()
                .filter(user -> user.getKey().startsWith(id)
                        && user.getValue().path("nickname").asText().equals(nickname))
                .count();
    }

    private long deleted() {
        return ends.mini.all("user").entrySet().stream()
                .filter(user -> user.getKey().startsWith(id)
                        && user.getValue().path("deleted").asBoolean())
                .count();
    }

    @Test
    @Anomaly(Anomaly.Of.A2)
    void onlyTheSystemThatStatedADeletionTakesItBack() {
        insert(id);
        ends.app.update("update users set deleted = true, updated_at = clock_timestamp() where user_id = ?", id);
        deletedAtMini(id, true);

        ends.mini.edit("user", id, java.util.Map.of("deleted", false, "nickname", "还在"));
        deletedAtMini(id, true);
        ends.quiet(id);
        assertThat(ends.mini.read("user", id).path("deleted").asBoolean()).isTrue();
        assertThat(ends.app.queryForObject("select nickname from users where user_id = ?", String.class, id))
                .isEqualTo("前");
        assertThat(ends.get("/conflicts?entity=user&id=" + id).path("items")).isNotEmpty();

        ends.app.update(
                "update users set deleted = false, nickname = '又来', updated_at = clock_timestamp() where user_id = ?",
                id);
        deletedAtMini(id, false);
        crosses(id, "又来");
        ends.quiet(id);
        assertThat(ends.differences("user", id)).isEmpty();
    }

    @Test
    @Anomaly(Anomaly.Of.A2)
    void aRowThatIsDeletedAndMadeAgainLivesAtBothEnds() {
        insert(id);
        ends.app.update("delete from users where user_id = ?", id);
        deletedAtMini(id, true);
        ends.app.update("insert into users (user_id, nickname) values (?, '又来')", id);
        deletedAtMini(id, false);
        crosses(id, "又来");
        ends.quiet(id);
        assertThat(ends.differences("user", id)).isEmpty();
    }

    @Test
    void aDeletionAtTheMiniProgramIsADeletionAtTheApp() {
        insert(id);
        ends.mini.edit("user", id, java.util.Map.of("deleted", true));
        Ends.soon(() -> assertThat(
                        ends.app.queryForObject("select deleted from users where user_id = ?", Boolean.class, id))
                .isTrue());
    }
}
