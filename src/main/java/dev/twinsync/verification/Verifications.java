package dev.twinsync.verification;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.audit.Audit;
import dev.twinsync.record.Field;
import dev.twinsync.record.Json;
import dev.twinsync.record.Masking;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import java.time.Duration;
import java.util.Collection;
import java.util.LinkedHashMap;
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

    /** The kinds of differences. */
    public static final List<String> KINDS = Settings.KINDS;

    /** What becomes of a difference that was told. */
    public static final List<String> STATES =
            List.of("confirmed", "planned", "repairing", "repaired", "superseded", "undone", "unverified");

    private final Runs runs;
    private final Runner runner;
    private final Lag lag;
    private final State state;
    private final SelfTest selfTest;
    private final Schemas schemas;
    private final Settings settings;

    /** What was mended can be undone for as long as its history is kept. */
    private final int historyDays;

    private final JdbcTemplate jdbc;
    private final Audit audit;

    Verifications(
            Runs runs,
            Runner runner,
            Lag lag,
            State state,
            SelfTest selfTest,
            Schemas schemas,
            JdbcTemplate jdbc,
            Audit audit,
            Environment environment) {
        this.runs = runs;
        this.runner = runner;
        this.lag = lag;
        this.state = state;
        this.selfTest = selfTest;
        this.schemas = schemas;
        this.jdbc = jdbc;
        this.audit = audit;
        this.settings = Settings.of(environment);
        this.historyDays = environment.getProperty("twinsync.history.retention-days", Integer.class, 90);
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
        jdbc.update("""
                delete from verification_run where ended_at < clock_timestamp() - make_interval(
                  days => case when repaired > 0 then greatest(cast(? as int), cast(? as int)) else cast(? as int) end)""", settings.keepDays(), historyDays, settings.keepDays());
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
     * @param repair none, plan, apply or self_test: errors are planted in shadow records, and it is told which were found
     * @param reason why, or null
     * @throws Refused where there can be no self-test of the entity, or one is under way
     */
    public long begin(String entity, Collection<String> ids, String repair, String by, String reason) {
        Map<String, Object> detail = new LinkedHashMap<>();
        detail.put("entity", entity);
        detail.put("repair", repair);
        if (ids != null) {
            detail.put("ids", ids.size());
        }
        return audit.act(
                new Audit.Act(by, "verification.begin", "verification", null, reason, detail),
                () -> repair.equals("self_test") ? selfTest(entity, by) : runs.add(entity, "asked", ids, repair, by));
    }

    private long selfTest(String entity, String by) {
        String refused = selfTest.refuse(schemas.of(entity));
        if (refused != null) {
            throw new Refused("no self-test: " + refused);
        }
        Boolean open = jdbc.queryForObject(
                "select exists (select from verification_run where entity = ? and origin = 'self_test' and ended_at is null)",
                Boolean.class,
                entity);
        if (Boolean.TRUE.equals(open)) {
            throw new Refused("no self-test: one of " + entity + " is under way");
        }
        return runs.add(entity, "self_test", null, "none", by);
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
                  cardinality(r.ids) as ids, r.undoes, r.told::text as told, r.asked_by, r.approved_by, r.created_at, r.started_at,
                  r.ended_at,
                  (select json_object_agg(kind, n)::text from (
                     select kind, count(*) as n from verification_difference d
                     where d.run = r.run and d.state in ('confirmed', 'planned', 'repairing', 'repaired', 'superseded', 'undone')
                     group by kind) as kinds) as kinds,
                  (select count(*) from verification_difference d where d.run = r.run and d.state = 'candidate') as open
                from verification_run r
                where r.run < ? and (cast(? as bigint) is null or r.run = ?) and (cast(? as text) is null or r.entity = ?)
                order by r.run desc limit ?""", before, run, run, entity, entity, limit);
    }

    /**
     * Differences of a run beyond {@code after}, in the order in which they were found: {@code id, entity, record_id,
     * system, kind, fields} (JSON, personal values masked), {@code changed} (JSON), {@code decision, state, at}.
     */
    public List<Map<String, Object>> differences(long run, long after, int limit, String kind, String state) {
        get(run);
        return shown(jdbc.queryForList("""
                select id, run, entity, record_id, system, kind, fields::text as fields, changed::text as changed,
                  decision, state, at
                from verification_difference
                where run = ? and id > ? and state <> 'candidate' and (cast(? as text) is null or kind = ?)
                  and (cast(? as text) is null or state = ?)
                order by id limit ?""", run, after, kind, kind, state, state, limit));
    }

    /** What runs have found of one record, the newest first. */
    public List<Map<String, Object>> differences(String entity, String id, int limit) {
        return shown(jdbc.queryForList("""
                select id, run, entity, record_id, system, kind, fields::text as fields, changed::text as changed,
                  decision, state, at
                from verification_difference
                where entity = ? and record_id = ? and state <> 'candidate' and decision is distinct from 'undo'
                order by id desc limit ?""", entity, id, limit));
    }

    private List<Map<String, Object>> shown(List<Map<String, Object>> rows) {
        for (Map<String, Object> row : rows) {
            JsonNode fields = Json.read((String) row.get("fields"));
            String entity = (String) row.get("entity");
            for (JsonNode field : fields) {
                Field of = schemas.has(entity)
                        ? schemas.of(entity).field(field.path("field").asText())
                        : null;
                ((ObjectNode) field).properties().forEach(value -> {
                    if (!value.getKey().equals("field")) {
                        value.setValue(Masking.mask(of, value.getValue()));
                    }
                });
            }
            row.put("fields", fields);
            row.put("changed", Json.read((String) row.get("changed")));
        }
        return rows;
    }

    /** By entity: how much was verified and when, what differs, since when, and how long changes take. */
    public Map<String, Map<String, Object>> state() {
        return state.told();
    }

    /** Lets a run mend what it has planned. */
    public void approve(long run, String by, String reason) {
        act("approve", run, by, reason, "approved: it waits for no approval", """
                update verification_run set state = 'repairing', approved_by = ?, next_at = clock_timestamp()
                where run = ? and state = 'waiting_for_approval'""", by, run);
    }

    public void pause(long run, String by, String reason) {
        act(
                "pause",
                run,
                by,
                reason,
                "paused: it has ended or is paused",
                "update verification_run set paused = true where run = ? and ended_at is null and not paused",
                run);
    }

    public void resume(long run, String by, String reason) {
        act("resume", run, by, reason, "resumed: it is not paused", """
                update verification_run set paused = false, next_at = clock_timestamp()
                where run = ? and ended_at is null and paused""", run);
    }

    /** Stops a run for good; what was mended stays mended. */
    public void cancel(long run, String by, String reason) {
        act("cancel", run, by, reason, "stopped: it has ended", """
                update verification_run set state = 'stopped', ended_at = clock_timestamp()
                where run = ? and ended_at is null""", run);
    }

    /**
     * Begins a run that takes back what another one has repaired: what was found, or what was golden before, becomes
     * true at both ends by an edit of the operator. A record that somebody has changed since is left as it is.
     *
     * @param ids the records, or null for all that were repaired
     * @return the new run; undoing that one does the repair again
     */
    public long undo(long run, Collection<String> ids, String by, String reason) {
        get(run);
        Act act = new Act("undo", run, by, reason);
        return audit.act(act.audited(), () -> {
            String[] some = ids == null ? null : ids.toArray(String[]::new);
            List<Long> undo = jdbc.queryForList("""
                    with kept as (
                      update verification_difference set state = 'undone'
                      where run = ? and state = 'repaired' and (cast(? as text[]) is null or record_id = any (?))
                      returning *),
                    made as (
                      insert into verification_run (entity, origin, undoes, ids, repair, asked_by, approved_by)
                      select entity, 'undo', run, cast(? as text[]), 'apply', ?, ? from verification_run
                      where run = ? and exists (select from kept)
                      returning run),
                    copied as (
                      insert into verification_difference
                        (run, entity, record_id, system, kind, fields, changed, found, decision, state)
                      select made.run, k.entity, k.record_id, k.system, k.kind, k.fields, k.changed, null, 'undo', 'planned'
                      from made, kept k)
                    select run from made""", Long.class, run, some, some, some, by, by, run);
            if (undo.isEmpty()) {
                throw new Refused("verification " + run + " can't be undone: it has repaired nothing of the kind");
            }
            return undo.get(0);
        });
    }

    private record Act(String act, long run, String by, String reason) {
        Audit.Act audited() {
            return new Audit.Act(by, "verification." + act, "verification", String.valueOf(run), reason);
        }
    }

    private void act(
            String act, long run, String by, String reason, String otherwise, String sql, Object... arguments) {
        get(run);
        audit.act(new Act(act, run, by, reason).audited(), () -> {
            if (jdbc.update(sql, arguments) == 0) {
                throw new Refused("verification " + run + " can't be " + otherwise);
            }
        });
    }
}
