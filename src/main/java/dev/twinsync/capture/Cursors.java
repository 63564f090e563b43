package dev.twinsync.capture;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.record.Json;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.postgresql.jdbc.PgConnection;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.jdbc.core.ConnectionCallback;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.core.ResultSetExtractor;
import org.springframework.stereotype.Component;
import org.springframework.transaction.support.TransactionTemplate;

/** Where each poll stands, kept under a database lock: one poller at a time, and another takes over when it dies. */
@Component
class Cursors {

    private final JdbcTemplate jdbc;
    private final TransactionTemplate transaction;
    private final long silence;
    private final ScheduledThreadPoolExecutor pulses = new ScheduledThreadPoolExecutor(4, run -> {
        Thread thread = new Thread(run, "turn-pulse");
        thread.setDaemon(true);
        return thread;
    });

    /** @param silence in milliseconds, after which an instance in the midst of a turn is taken for dead, as a consumer is */
    Cursors(
            JdbcTemplate jdbc,
            TransactionTemplate transaction,
            @Value("${camel.component.kafka.session-timeout-ms}") long silence) {
        this.jdbc = jdbc;
        this.transaction = transaction;
        this.silence = silence;
        pulses.setRemoveOnCancelPolicy(true);
    }

    /**
     * Runs a turn under the lock of its name; without the lock it does nothing, since another instance is at it.
     *
     * <p>The lock lives in the turn's transaction, and so does the cursor: an instance that was frozen and lost its
     * session can't move it. A session whose process gives no sign of life is ended by the server, and its lock with it.
     *
     * @return whether the lock was ours
     */
    boolean turn(String name, Consumer<Cursor> turn) {
        return Boolean.TRUE.equals(transaction.execute(status -> {
            Boolean ours = jdbc.queryForObject("""
                    select pg_try_advisory_xact_lock(hashtextextended('twinsync/' || ?, 0))
                      and set_config('idle_in_transaction_session_timeout', ?, true) is not null""", Boolean.class, name, silence + "ms");
            if (!Boolean.TRUE.equals(ours)) {
                return false;
            }
            Pulse pulse = new Pulse();
            try {
                turn.accept(new Cursor(name));
            } finally {
                pulse.ends();
            }
            return true;
        }));
    }

    /** The value of a cursor, or null where it never moved. */
    JsonNode read(String name) {
        ResultSetExtractor<JsonNode> value = rows -> rows.next() ? Json.read(rows.getString(1)) : null;
        return jdbc.query("select value from cursor where name = ?", value, name);
    }

    private void write(String name, ObjectNode value) {
        jdbc.update("""
                insert into cursor (name, value) values (?, ?::jsonb)
                on conflict (name) do update set value = excluded.value, updated_at = clock_timestamp()""", name, Json.text(value));
    }

    /** A sign of life within a turn, however long one of its steps takes. */
    private final class Pulse {
        private final Connection session;
        private final ScheduledFuture<?> beats;
        private boolean over;

        Pulse() {
            // the pool's own connection minds its statements for one thread alone; the driver's takes them in turn
            session = jdbc.execute((ConnectionCallback<Connection>) pooled -> pooled.unwrap(PgConnection.class));
            beats = pulses.scheduleWithFixedDelay(this::beat, silence / 3, silence / 3, TimeUnit.MILLISECONDS);
        }

        private synchronized void beat() {
            if (!over) {
                try (Statement statement = session.createStatement()) {
                    statement.execute("select 1");
                } catch (SQLException e) {
                    // the turn's next step meets it too
                }
            }
        }

        synchronized void ends() {
            over = true;
            beats.cancel(false);
        }
    }

    /** A cursor whose lock this turn holds. */
    final class Cursor {
        private final String name;

        private Cursor(String name) {
            this.name = name;
        }

        /** The value, or null before the first turn. */
        JsonNode value() {
            return read(name);
        }

        void move(ObjectNode value) {
            write(name, value);
        }
    }
}
