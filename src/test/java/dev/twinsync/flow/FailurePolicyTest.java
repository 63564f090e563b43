package dev.twinsync.flow;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonGenerationException;
import com.fasterxml.jackson.core.JsonParseException;
import dev.twinsync.flow.FailurePolicy.Kind;
import java.io.EOFException;
import java.io.UncheckedIOException;
import java.sql.SQLException;
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
}
