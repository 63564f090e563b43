package dev.twinsync;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.devservices.Caller;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A 404 says that a record is gone, or that a gateway has lost the path to all of them. */
class LostPathTest {

    private static int number;

    private final Ends ends = Ends.shared();
    private final Caller caller = new Caller(ends.service);
    private final String id = "lost-" + ++number;

    @BeforeEach
    void bothEndsHoldIt() {
        for (String one : new String[] {id, id + "-another"}) {
            ends.app.update("insert into users (user_id, nickname) values (?, '前')", one);
            Ends.soon(() -> assertThat(ends.mini.read("user", one)).isNotNull());
        }
        ends.quiet(id);
    }

    @AfterEach
    void routedAgain() {
        ends.mini.lose(null);
    }

    /** Puts in doubt what the mini-program holds, so that it is read by its key. */
    private void pushed() {
        assertThat(ends.post(
                                "mini-key",
                                "/sync_user_data",
                                "{\"user_id\":\"" + id + "\",\"data\":{\"nickname\":\"后\"}}")
                        .statusCode())
                .isEqualTo(202);
    }

    private boolean isDeletedAtTheApp() {
        return Boolean.TRUE.equals(
                ends.app.queryForObject("select deleted from users where user_id = ?", Boolean.class, id));
    }

    @Test
    void aPathThatIsLostDeletesNothingAndIsNamed() {
        ends.mini.lose("/users/");
        pushed();
        Ends.soon(() -> {
            JsonNode flow = caller.json("ops-key", "/actuator/health");
            for (String part : new String[] {"flows", "deliver-mini-users"}) {
                flow = flow.path("components").path(part);
            }
            assertThat(flow.path("status").asText()).isEqualTo("WAITING");
            assertThat(flow.path("details").path("cause").asText()).contains("the path is lost");
        });
        ends.mini.lose(null);
        ends.quiet(id);
        assertThat(ends.differences("user", id)).isEmpty();
        assertThat(isDeletedAtTheApp()).isFalse();
        assertThat(ends.mini.read("user", id).path("nickname").asText()).isEqualTo("后");
        assertThat(ends.letters("q=" + id)).isEmpty();
    }

    @Test
    void aRecordThatIsGoneWhileOthersAreThereIsDeleted() {
        ends.mini.remove("user", id);
        pushed();
        Ends.soon(() -> assertThat(isDeletedAtTheApp()).isTrue());
        assertThat(ends.get("/users/" + id + "-another").path("version").asLong())
                .isPositive();
    }
}
