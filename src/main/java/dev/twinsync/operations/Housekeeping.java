package dev.twinsync.operations;

import java.sql.Timestamp;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.core.NestedRuntimeException;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.stereotype.Component;
import org.springframework.transaction.support.TransactionTemplate;

/**
 * Keeps Twinsync's own tables bounded. History is a partition a day, made a week ahead and dropped whole when its time
 * is over. Keys of pushes, letters that are closed and conflicts that are settled are deleted in batches; what is open
 * never expires. One instance at a time does it, under a database lock; it does no harm to do it twice.
 */
@Component
class Housekeeping {

    private static final Logger LOG = LoggerFactory.getLogger(Housekeeping.class);
    private static final DateTimeFormatter DAY = DateTimeFormatter.ofPattern("uuuuMMdd");
    private static final int DAYS_AHEAD = 7;
    private static final int BATCH = 5_000;

    private final JdbcTemplate jdbc;
    private final TransactionTemplate transaction;
    private final Clock clock;
    private final int historyDays;
    private final Duration pushKeys;
    private final Duration letters;

    @Autowired
    Housekeeping(
            JdbcTemplate jdbc,
            TransactionTemplate transaction,
            @Value("${twinsync.history.retention-days}") int historyDays,
            @Value("${twinsync.push-keys.retention}") Duration pushKeys,
            @Value("${twinsync.dead-letters.retention}") Duration letters) {
        this(jdbc, transaction, Clock.systemUTC(), historyDays, pushKeys, letters);
    }

    Housekeeping(
            JdbcTemplate jdbc,
            TransactionTemplate transaction,
            Clock clock,
            int historyDays,
            Duration pushKeys,
            Duration letters) {
        this.jdbc = jdbc;
        this.transaction = transaction;
        this.clock = clock;
        this.historyDays = historyDays;
        this.pushKeys = pushKeys;
        this.letters = letters;
    }

    @Scheduled(
            initialDelay = 60_000, // an instance that is restarted often must come to it all the same
            fixedDelayString = "${twinsync.housekeeping.interval}")
    void run() {
        try {
            Instant now = clock.instant();
            makeDays(now);
            Instant oldest = now.minus(Duration.ofDays(historyDays));
            dropDays(oldest);
            delete("history_default", "at < ?", oldest);
            delete("push_key", "at < ?", now.minus(pushKeys));
            delete("dead_letter", "closed_at < ?", now.minus(letters));
            delete("conflict", "state <> 'open' and at < ?", oldest);
        } catch (NestedRuntimeException e) {
            // the database's own: it is away, or somebody holds a lock for long
            LOG.warn(
                    "housekeeping is left for the next turn: {}",
                    e.getMostSpecificCause().getMessage());
        }
    }

    private void makeDays(Instant now) {
        alone(() -> {
            LocalDate today = LocalDate.ofInstant(now, ZoneOffset.UTC);
            Integer made = jdbc.queryForObject(
                    "select history_days(?, ?)", Integer.class, java.sql.Date.valueOf(today), DAYS_AHEAD + 1);
            return made == null ? 0 : made;
        });
    }

    private void dropDays(Instant oldest) {
        String first = "history_" + DAY.format(LocalDate.ofInstant(oldest, ZoneOffset.UTC));
        for (String day : jdbc.queryForList("""
                select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
                where i.inhparent = 'history'::regclass and c.relname ~ '^history_\\d{8}$' and c.relname < ?
                order by 1""", String.class, first)) {
            alone(() -> {
                jdbc.execute("drop table if exists " + day);
                LOG.info("dropped {}: its {} days are over", day, historyDays);
                return 1;
            });
        }
    }

    private void delete(String table, String condition, Instant before) {
        int deleted;
        do {
            deleted = alone(() -> jdbc.update(
                    "delete from " + table + " where ctid = any (array(select ctid from " + table + " where "
                            + condition + " limit " + BATCH + "))",
                    Timestamp.from(before)));
        } while (deleted == BATCH);
    }

    private interface Step {
        int done();
    }

    /** A short transaction of its own; where another instance is at it, nothing. */
    private int alone(Step step) {
        Integer done = transaction.execute(status -> {
            // whoever reads or writes history now is not made to wait behind us
            jdbc.execute("set local lock_timeout = '3s'");
            Boolean ours = jdbc.queryForObject(
                    "select pg_try_advisory_xact_lock(hashtextextended('twinsync/housekeeping', 0))", Boolean.class);
            return Boolean.TRUE.equals(ours) ? step.done() : 0;
        });
        return done == null ? 0 : done;
    }
}
