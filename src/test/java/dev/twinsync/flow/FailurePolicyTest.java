package dev.twinsync.flow;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonGenerationException;
import com.fasterxml.jackson.core.JsonParseException;
import dev.twinsync.flow.FailurePolicy.Kind;
import java.io.EOFException;
import java.io.UncheckedIOException;
import java.sql.SQLException;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** A failure of one message is told from one that passes. */
class FailurePolicyTest {

    private final FailurePolicy policy = new FailurePolicy();

    @Test
    void aMessageThatCantBeReadOrWrittenAsJsonFailsAlone() {
        assertThat(policy.kind(
                        new IllegalArgumentException(new JsonGenerationException("scale", (Throwable) null, null))))
                .isEqualTo(Kind.PERMANENT);
        assertThat(policy.kind(new IllegalStateException(new JsonParseException(null, "cut"))))
                .isEqualTo(Kind.PERMANENT);
    }

    @Test
    void aConnectionThatBreaksIsWaitedFor() {
        assertThat(policy.kind(new UncheckedIOException(new EOFException()))).isEqualTo(Kind.TRANSIENT);
        assertThat(policy.kind(new IllegalStateException(new SQLException("Connection is closed"))))
                .isEqualTo(Kind.TRANSIENT);
    }

    @Test
    void aNewTryIsMadeNoSoonerThanTheEndpointAsked() {
        policy.setLongestPause(5000);
        assertThat(policy.pauseAfter(1, asksFor(3))).isEqualTo(Duration.ofSeconds(3));
        assertThat(policy.pauseAfter(1, asksFor(0))).isLessThan(Duration.ofSeconds(1));
        assertThat(policy.pauseAfter(1, asksFor(60))).as("not in place").isNull();
        assertThat(FailurePolicy.asked(asksFor(60))).isEqualTo(Duration.ofMinutes(1));
        assertThat(FailurePolicy.asked(asksFor(Integer.MAX_VALUE))).isEqualTo(Duration.ofMinutes(10));
        assertThat(FailurePolicy.asked(new IllegalStateException())).isZero();
    }

    private static RuntimeException asksFor(int seconds) {
        return new IllegalStateException(new CallFailed(429, "slow down", Duration.ofSeconds(seconds), null, null));
    }
}
