package dev.twinsync.capture;

import static org.assertj.core.api.Assertions.assertThat;

import dev.twinsync.proof.Anomaly;
import java.time.Duration;
import java.time.Instant;
import org.junit.jupiter.api.Test;

class ClocksTest {

    private static final Instant NOON = Instant.parse("2026-01-01T12:00:00Z");
    private static final Duration RESOLUTION = Duration.ofMillis(50);

    private final Clocks clocks = new Clocks();

    @Test
    @Anomaly(Anomaly.Of.A19)
    void aClockThatIsOffIsCorrected() {
        clocks.measured("app", NOON.plusSeconds(30), NOON, NOON.plusMillis(20), RESOLUTION);
        assertThat(clocks.corrected("app", NOON.plusSeconds(30))).isBetween(NOON.minusMillis(20), NOON.plusMillis(20));
    }

    @Test
    void whatIsWithinTheResolutionIsNoOffset() {
        clocks.measured("app", NOON.plusMillis(40), NOON, NOON, RESOLUTION);
        assertThat(clocks.corrected("app", NOON)).isEqualTo(NOON);
    }

    @Test
    void aSlowAnswerIsNoOffset() {
        clocks.measured("mini", NOON.plusSeconds(14), NOON, NOON.plusSeconds(14), RESOLUTION);
        assertThat(clocks.corrected("mini", NOON)).isEqualTo(NOON);
        clocks.measured("mini", NOON, NOON, NOON.plusSeconds(14), RESOLUTION);
        assertThat(clocks.corrected("mini", NOON)).isEqualTo(NOON);
    }

    @Test
    void aSystemThatWasNeverMeasuredIsTakenAtItsWord() {
        assertThat(clocks.corrected("h5", NOON)).isEqualTo(NOON);
        assertThat(clocks.corrected("h5", null)).isNull();
    }
}
