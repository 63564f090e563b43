package dev.twinsync.capture;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.record.Json;
import java.util.function.Consumer;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.core.ResultSetExtractor;
import org.springframework.stereotype.Component;
import org.springframework.transaction.support.TransactionTemplate;

/** Where each poll stands, kept under a database lock: one poller at a time, and another takes over when it dies. */
@Component
class Cursors {

    private final JdbcTemplate jdbc;
    private final TransactionTemplate transaction;

    Cursors(JdbcTemplate jdbc, TransactionTemplate transaction) {
        this.jdbc = jdbc;
        this.transaction = transaction;
    }

    /**
     * Runs a turn under the lock of its name; without the lock it does nothing, since another instance is at it.
     *
     * <p>The lock lives in the turn's transaction, and so does the cursor: an instance that was frozen and lost its
     * session can't move it.
     *
     * @return whether the lock was ours
     */
    boolean turn(String name, Consumer<Cursor> turn) {
        return Boolean.TRUE.equals(transaction.execute(status -> {
            Boolean ours = jdbc.queryForObject("""
                    select pg_try_advisory_xact_lock(hashtextextended('twinsync/' || ?, 0))
                      and set_config('idle_in_transaction_session_timeout', '60s', true) is not null""", Boolean.class, name);
            if (!Boolean.TRUE.equals(ours)) {
                return false;
            }
            turn.accept(new Cursor(name));
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
