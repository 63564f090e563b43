package dev.twinsync.verification;

import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import org.springframework.core.env.Environment;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Component;

/** Verifications as others see them: begun, told, approved, paused, gone on with and stopped. */
@Component("verification")
public class Verifications {

    /** Asked of a run what it can't do in its state. */
    public static class Refused extends RuntimeException {
        Refused(String message) {
            super(message);
        }
    }

    private final Runs runs;
    private final Runner runner;
    private final Lag lag;
    private final Schemas schemas;
    private final Settings settings;
    private final JdbcTemplate jdbc;

    Verifications(Runs runs, Runner runner, Lag lag, Schemas schemas, JdbcTemplate jdbc, Environment environment) {
        this.runs = runs;
        this.runner = runner;
        this.lag = lag;
        this.schemas = schemas;
        this.jdbc = jdbc;
        this.settings = Settings.of(environment);
    }

    /** Takes the next steps of open runs; called by the flow {@code run-verifications}. */
    public void run() {
        runner.turn();
    }

    /** Begins what is due and forgets what is old; called by the flow {@code schedule-verifications}. */
    public void schedule() {
        lag.note();
        for (Schema schema : schemas.all()) {
            if (!settings.every().isZero()) {
                begin(schema, "schedule", settings.scheduled(), settings.every());
            }
            if (settings.sweepDays() > 0) {
                begin(schema, "sweep", "none", Duration.ZERO);
            }
        }
        jdbc.update(
                "delete from verification_run where ended_at < clock_timestamp() - make_interval(days => ?)",
                settings.keepDays());
    }

    /** One open run of an origin at a time, and not before its interval has passed; all instances ask at once. */
    private void begin(Schema schema, String origin, String repair, Duration every) {
        jdbc.update(
                """
                insert into verification_run (entity, origin, repair, asked_by)
                select ?, ?, ?, 'twinsync'
                where pg_try_advisory_xact_lock(hashtextextended('twinsync/verification/schedule/' || ? || ?, 0))
                  and not exists (select from verification_run where entity = ? and origin = ?
                    and (ended_at is null or created_at > clock_timestamp() - cast(? as interval)))
                  -- a service that has just been set up has nothing to compare yet
                  and exists (select from golden where entity = ? and updated_at < clock_timestamp() - cast(? as interval))""",
                schema.entity(),
                origin,
                repair,
                origin,
                schema.entity(),
                schema.entity(),
                origin,
                every.toSeconds() + " seconds",
                schema.entity(),
                every.toSeconds() + " seconds");
    }

    /**
     * Begins a run.
     *
     * @param ids the records to look at, or null for all
     * @param repair none, plan or apply
     */
    public long begin(String entity, Collection<String> ids, String repair, String by) {
        return runs.add(entity, "asked", ids, repair, by);
    }

    /** @throws NoSuchElementException where there is no such run */
    public Map<String, Object> get(long run) {
        List<Map<String, Object>> rows = list(run, Long.MAX_VALUE, 1, null);
        if (rows.isEmpty()) {
            throw new NoSuchElementException("there is no verification " + run);
        }
        return rows.get(0);
    }

    /** Runs below {@code before}, newest first. */
    public List<Map<String, Object>> list(long before, int limit, String entity) {
        return list(null, before, limit, entity);
    }

    private List<Map<String, Object>> list(Long run, long before, int limit, String entity) {
        return jdbc.queryForList("""
                select r.run, r.entity, r.origin, r.repair, r.state, r.paused, r.records, r.compared, r.unverified, r.repaired,
                  cardinality(r.ids) as ids, r.told::text as told, r.asked_by, r.approved_by, r.created_at, r.started_at,
                  r.ended_at,
                  (select json_object_agg(kind, n)::text from (
                     select kind, count(*) as n from verification_difference d
                     where d.run = r.run and d.state in ('confirmed', 'planned', 'repairing', 'repaired', 'superseded')
                     group by kind) as kinds) as kinds,
                  (select count(*) from verification_difference d where d.run = r.run and d.state = 'candidate') as open
                from verification_run r
                where r.run < ? and (cast(? as bigint) is null or r.run = ?) and (cast(? as text) is null or r.entity = ?)
                order by r.run desc limit ?""", before, run, run, entity, entity, limit);
    }

    /** Differences of a run beyond {@code after}, in the order in which they were found. */
    public List<Map<String, Object>> differences(long run, long after, int limit, String kind, String state) {
        get(run);
        return jdbc.queryForList("""
                select id, entity, record_id, system, kind, fields::text as fields, changed::text as changed,
                  decision, state, at
                from verification_difference
                where run = ? and id > ? and state <> 'candidate' and (cast(? as text) is null or kind = ?)
                  and (cast(? as text) is null or state = ?)
                order by id limit ?""", run, after, kind, kind, state, state, limit);
    }

    /** Lets a run mend what it has planned. */
    public void approve(long run, String by) {
        act(run, "approved: it waits for no approval", """
                update verification_run set state = 'repairing', approved_by = ?, next_at = clock_timestamp()
                where run = ? and state = 'waiting_for_approval'""", by, run);
    }

    public void pause(long run) {
        act(
                run,
                "paused: it has ended or is paused",
                "update verification_run set paused = true where run = ? and ended_at is null and not paused",
                run);
    }

    public void resume(long run) {
        act(run, "resumed: it is not paused", """
                update verification_run set paused = false, next_at = clock_timestamp()
                where run = ? and ended_at is null and paused""", run);
    }

    /** Stops a run for good; what was mended stays mended. */
    public void cancel(long run) {
        act(run, "stopped: it has ended", """
                update verification_run set state = 'stopped', ended_at = clock_timestamp()
                where run = ? and ended_at is null""", run);
    }

    private void act(long run, String otherwise, String sql, Object... arguments) {
        get(run);
        if (jdbc.update(sql, arguments) == 0) {
            throw new Refused("verification " + run + " can't be " + otherwise);
        }
    }
}
