package dev.twinsync.capture;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.time.Duration;
import java.util.List;
import java.util.UUID;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Component;

/**
 * Where each log stands, and which instance reads it. The owner renews its lease; when it no longer does, another takes
 * over. A position is moved only by the owner, so that an instance that was frozen can't move it.
 */
@Component
class TableLogs {

    private final JdbcTemplate jdbc;
    private final Duration lease;
    private final String self;

    TableLogs(JdbcTemplate jdbc, @Value("${twinsync.capture.app.log.lease}") Duration lease) {
        this.jdbc = jdbc;
        this.lease = lease;
        this.self = host() + '/' + UUID.randomUUID();
    }

    /** @param position null where nothing is known of the slot */
    record Standing(String slot, Long position) {}

    Duration lease() {
        return lease;
    }

    /** Takes or renews the lease; false where another instance has it. */
    boolean own(String name) {
        jdbc.update("insert into table_log (name) values (?) on conflict do nothing", name);
        return jdbc.update("""
                update table_log set owner = ?, lease_until = clock_timestamp() + ? * interval '1 millisecond',
                  streaming = streaming and owner = ?
                where name = ? and (owner = ? or lease_until < clock_timestamp())""", self, lease.toMillis(), self, name, self) == 1;
    }

    void release(String name) {
        jdbc.update(
                "update table_log set owner = null, lease_until = '-infinity', streaming = false where name = ? and owner = ?",
                name,
                self);
    }

    Standing standing(String name) {
        return jdbc.queryForObject(
                "select slot, position from table_log where name = ?",
                (row, n) -> new Standing(row.getString(1), row.getObject(2, Long.class)),
                name);
    }

    /** @throws IllegalStateException where the log has another owner now */
    void stand(String name, String slot, Long position) {
        fenced(jdbc.update(
                "update table_log set slot = ?, position = ? where name = ? and owner = ?",
                slot,
                position,
                name,
                self));
    }

    void move(String name, long position) {
        fenced(jdbc.update(
                "update table_log set position = greatest(position, ?) where name = ? and owner = ?",
                position,
                name,
                self));
    }

    void streaming(String name, boolean streaming) {
        jdbc.update("update table_log set streaming = ? where name = ? and owner = ?", streaming, name, self);
    }

    /** Whether an instance, this or another, reads the log now. */
    boolean streams(String name) {
        return !jdbc.queryForList(
                        "select 1 from table_log where name = ? and streaming and lease_until > clock_timestamp()",
                        name)
                .isEmpty();
    }

    /** Logs whose slot is still kept, though they may no longer be read. */
    List<String> withSlot() {
        return jdbc.queryForList("select name from table_log where slot is not null", String.class);
    }

    private static void fenced(int updated) {
        if (updated == 0) {
            throw new IllegalStateException("another instance has taken this log over");
        }
    }

    private static String host() {
        try {
            return InetAddress.getLocalHost().getHostName();
        } catch (UnknownHostException e) {
            return "unknown";
        }
    }
}
