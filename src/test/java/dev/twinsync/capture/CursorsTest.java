package dev.twinsync.capture;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.twinsync.devservices.Neighbours;
import dev.twinsync.record.Json;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.transaction.support.TransactionTemplate;

/** Turns under a lock; what becomes of those of a frozen instance is seen in {@code proof.FaultsTest}. */
class CursorsTest {

    private static final Duration SILENCE = Duration.ofSeconds(3);
    private static final String NAME = "cursors-test";

    private final ConfigurableApplicationContext service = Neighbours.get().service();
    private final JdbcTemplate jdbc = service.getBean(JdbcTemplate.class);
    private final Cursors cursors = new Cursors(jdbc, service.getBean(TransactionTemplate.class), SILENCE.toMillis());

    @Test
    void aTurnThatIsSlowAndAliveKeepsItsLock() {
        long since = System.nanoTime();
        boolean ours = cursors.turn(NAME, cursor -> {
            await("another wants it all the while")
                    .atMost(Duration.ofMinutes(2))
                    .pollInterval(Duration.ofMillis(200))
                    .until(() -> {
                        assertThat(cursors.turn(NAME, other -> other.move(Json.MAPPER.createObjectNode())))
                                .isFalse();
                        return System.nanoTime() - since
                                > SILENCE.multipliedBy(2).toNanos();
                    });
            cursor.move(Json.MAPPER.createObjectNode().put("at", 7));
        });
        assertThat(ours).isTrue();
        assertThat(cursors.read(NAME).path("at").asInt()).isEqualTo(7);
        jdbc.update("delete from cursor where name = ?", NAME);
    }
}
