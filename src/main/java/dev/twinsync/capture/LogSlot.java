package dev.twinsync.capture;

import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.locks.LockSupport;
import javax.sql.DataSource;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.dao.DataAccessException;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Component;

/**
 * The publication and the replication slot of a log, at the database: checked, and made where they are missing. What
 * is in the way is told by the grant or setting that is missing.
 */
@Component
class LogSlot {

    private static final Duration SLOT_FREE = Duration.ofSeconds(10);

    private final JdbcTemplate app;
    private final TableLogs logs;

    LogSlot(@Qualifier("appPool") DataSource app, TableLogs logs) {
        this.app = new JdbcTemplate(app);
        this.logs = logs;
    }

    /**
     * @param position from where the server sends
     * @param gap why changes may have been missed, or null
     */
    record Ready(long position, String gap) {}

    /** What is in the way of reading the log; nothing is made. */
    void check(KeyColumns keys) {
        String level = app.queryForObject("show wal_level", String.class);
        if (!"logical".equals(level)) {
            throw new IllegalStateException("wal_level of the app's database is " + level
                    + ": set wal_level = logical in postgresql.conf and restart the server");
        }
        Map<String, Object> role = app.queryForMap("""
                select current_user as name, rolreplication or rolsuper or exists (
                    select from pg_roles g where g.rolname in ('rds_replication', 'cloudsqlsuperuser', 'azure_pg_admin')
                      and pg_has_role(current_user, g.oid, 'member')) as may
                from pg_roles where rolname = current_user""");
        if (!Boolean.TRUE.equals(role.get("may"))) {
            throw new IllegalStateException("APP_DB_USERNAME " + role.get("name") + " may not read the log: alter role "
                    + role.get("name") + " replication");
        }
        keys.columns().forEach(this::check);
    }

    private void check(String table, String column) {
        List<Map<String, Object>> found = app.queryForList("""
                select c.relreplident::text as identity, a.attnum is not null as there,
                  exists (select from pg_index i where i.indrelid = c.oid and a.attnum = any (i.indkey)
                    and case c.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident else false end) as identifies
                from pg_class c
                left join pg_attribute a on a.attrelid = c.oid and a.attname = ? and a.attnum > 0 and not a.attisdropped
                where c.oid = to_regclass(?)""", column, quoted(table));
        if (found.isEmpty()) {
            throw new IllegalStateException("keys: the app's database has no table " + table);
        }
        Map<String, Object> told = found.get(0);
        if (!Boolean.TRUE.equals(told.get("there"))) {
            throw new IllegalStateException("keys: " + table + " has no column " + column);
        }
        if (!"f".equals(told.get("identity")) && !Boolean.TRUE.equals(told.get("identifies"))) {
            throw new IllegalStateException("the log does not tell " + column + " of a row of " + table
                    + " that is deleted: alter table " + table + " replica identity full");
        }
    }

    /** Makes what is missing and says from where the server sends; called by the owner of the log alone. */
    Ready prepare(String name, String slot, KeyColumns keys) {
        check(keys);
        String changed = publish(slot, keys);
        TableLogs.Standing standing = logs.standing(name);
        List<Map<String, Object>> found = app.queryForList("""
                select plugin, database, database = current_database() as ours, active_pid, wal_status,
                  (confirmed_flush_lsn - '0/0')::bigint as position
                from pg_replication_slots where slot_name = ?""", slot);
        if (found.isEmpty()) {
            String reason = slot.equals(standing.slot())
                    ? "the replication slot " + slot + " was dropped"
                    : "the log is read for the first time";
            return new Ready(create(slot), reason);
        }
        Map<String, Object> there = found.get(0);
        if (!"pgoutput".equals(there.get("plugin")) || !Boolean.TRUE.equals(there.get("ours"))) {
            throw new IllegalStateException("the replication slot " + slot + " is another's (database "
                    + there.get("database") + ", plugin " + there.get("plugin")
                    + "): set twinsync.capture.app.log.name to a name of its own");
        }
        free(slot);
        if ("lost".equals(there.get("wal_status")) || there.get("position") == null) {
            drop(slot);
            return new Ready(
                    create(slot),
                    "the server has removed the log that the replication slot " + slot
                            + " still needed (max_slot_wal_keep_size)");
        }
        long position = ((Number) there.get("position")).longValue();
        if (!slot.equals(standing.slot()) || standing.position() == null) {
            return new Ready(position, "nothing is known of where the replication slot " + slot + " stands");
        }
        if (position > standing.position()) {
            return new Ready(position, "the replication slot " + slot + " stands further than what was read");
        }
        return new Ready(position, changed);
    }

    private String publish(String publication, KeyColumns keys) {
        List<Map<String, Object>> found = app.queryForList("""
                select pubinsert and pubupdate and pubdelete and pubtruncate as whole, puballtables
                from pg_publication where pubname = ?""", publication);
        Set<String> wanted = new TreeSet<>(keys.columns().keySet());
        String tables = String.join(", ", wanted.stream().map(LogSlot::quoted).toList());
        if (found.isEmpty()) {
            rightly("create publication " + publication + " for table " + tables
                    + " with (publish_via_partition_root = true)");
            return "the publication " + publication + " was missing";
        }
        if (!Boolean.TRUE.equals(found.get(0).get("whole"))) {
            rightly("alter publication " + publication + " set (publish = 'insert, update, delete, truncate')");
            return "the publication " + publication + " did not publish everything";
        }
        Set<String> published = new TreeSet<>(app.queryForList(
                "select schemaname || '.' || tablename from pg_publication_tables where pubname = ?",
                String.class,
                publication));
        Set<String> missing = new TreeSet<>(wanted);
        missing.removeAll(published);
        if (!missing.isEmpty()) {
            rightly("alter publication " + publication + " add table "
                    + String.join(", ", missing.stream().map(LogSlot::quoted).toList()));
            return "the publication " + publication + " was without " + missing;
        }
        return null;
    }

    /** What a lesser role may not do itself is told as the statement that someone else must run. */
    private void rightly(String statement) {
        try {
            app.execute(statement);
        } catch (DataAccessException e) {
            if ("42501".equals(state(e))) {
                throw new IllegalStateException(
                        "APP_DB_USERNAME may not make the publication; as the owner of the tables, run: " + statement,
                        e);
            }
            throw e;
        }
    }

    private long create(String slot) {
        try {
            return app.queryForObject(
                    "select (lsn - '0/0')::bigint from pg_create_logical_replication_slot(?, 'pgoutput')",
                    Long.class,
                    slot);
        } catch (DataAccessException e) {
            if ("53400".equals(state(e))) {
                throw new IllegalStateException(
                        "all replication slots of the app's database are taken: raise max_replication_slots", e);
            }
            throw e;
        }
    }

    /** Whoever holds our lease is the slot's reader; a former one that lingers at the server is ended. */
    private void free(String slot) {
        Instant until = Instant.now().plus(SLOT_FREE);
        while (!app.queryForList("""
                        select pg_terminate_backend(active_pid) from pg_replication_slots
                        where slot_name = ? and active_pid is not null""", slot).isEmpty()) {
            if (Instant.now().isAfter(until) || Thread.interrupted()) {
                throw new IllegalStateException("the replication slot " + slot + " stays in use by another session");
            }
            LockSupport.parkNanos(Duration.ofMillis(100).toNanos());
        }
    }

    /** Drops a slot, so that it holds back no log any more; one that isn't there is dropped. */
    void drop(String slot) {
        free(slot);
        app.queryForList(
                "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = ?", slot);
    }

    private static String quoted(String table) {
        int dot = table.indexOf('.');
        return '"' + table.substring(0, dot).replace("\"", "\"\"") + "\".\""
                + table.substring(dot + 1).replace("\"", "\"\"") + '"';
    }

    private static String state(Throwable e) {
        for (Throwable at = e; at != null; at = at.getCause()) {
            if (at instanceof SQLException sql) {
                return sql.getSQLState();
            }
        }
        return null;
    }
}
