package dev.twinsync.verification;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.merge.Observation;
import dev.twinsync.record.Json;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Timestamp;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Component;

/**
 * Runs and differences in the sync database, and what the comparison asks of bases and golden records. What a run writes
 * is fenced by its turn: an instance that was frozen while another took the run over changes nothing.
 */
@Component
class Runs {

    /** Another instance has taken the run over. */
    static final class TurnLost extends RuntimeException {
        TurnLost() {
            super("another instance has taken the run over");
        }
    }

    /** A difference, or what may become one. */
    record Difference(
            long id,
            String recordId,
            String system,
            String kind,
            String print,
            int rounds,
            String decision,
            String state) {}

    private static final int CHUNK = 500;

    /** Buckets whose digests are computed in one statement. */
    private static final int SOME_BUCKETS = 64;

    private final JdbcTemplate jdbc;

    Runs(JdbcTemplate jdbc) {
        this.jdbc = jdbc;
    }

    JdbcTemplate jdbc() {
        return jdbc;
    }

    long add(String entity, String origin, Collection<String> ids, String repair, String by) {
        Long run = jdbc.queryForObject(
                "insert into verification_run (entity, origin, ids, repair, asked_by) values (?, ?, ?, ?, ?) returning run",
                Long.class,
                entity,
                origin,
                ids == null ? null : ids.toArray(String[]::new),
                repair,
                by);
        return run == null ? 0 : run;
    }

    /** Takes the next run that has something to do; what people asked for goes first. */
    Run take() {
        List<Run> taken = jdbc.query("""
                update verification_run set turn = turn + 1, started_at = coalesce(started_at, clock_timestamp())
                where run = (
                  select run from verification_run
                  where ended_at is null and not paused and state <> 'waiting_for_approval' and next_at <= clock_timestamp()
                  order by array_position(array['asked', 'self_test', 'schedule', 'sweep'], origin), run limit 1)
                returning *""", (row, n) -> run(row));
        return taken.isEmpty() ? null : taken.get(0);
    }

    private static Run run(ResultSet row) throws SQLException {
        Run run = new Run();
        run.run = row.getLong("run");
        run.entity = row.getString("entity");
        run.origin = row.getString("origin");
        run.ids = row.getArray("ids") == null
                ? null
                : Arrays.asList((String[]) row.getArray("ids").getArray());
        run.repair = row.getString("repair");
        run.state = row.getString("state");
        run.turn = row.getLong("turn");
        run.progress = (ObjectNode) Json.read(row.getString("progress"));
        run.told = (ObjectNode) Json.read(row.getString("told"));
        run.records = row.getLong("records");
        run.compared = row.getLong("compared");
        run.unverified = row.getLong("unverified");
        run.repaired = row.getLong("repaired");
        run.approved = row.getString("approved_by") != null;
        run.startedAt = row.getTimestamp("started_at").toInstant();
        run.nextAt = Instant.now();
        return run;
    }

    /** Stores a step. @return false where a person has paused or stopped the run meanwhile */
    boolean save(Run run) {
        List<Boolean> goesOn = jdbc.queryForList(
                """
                update verification_run set
                  state = case when state = 'stopped' then state else ? end, progress = ?::jsonb, told = ?::jsonb,
                  records = ?, compared = ?, unverified = ?, repaired = ?, next_at = ?,
                  ended_at = case when state = 'stopped' then ended_at when ? then clock_timestamp() end
                where run = ? and turn = ?
                returning not paused and ended_at is null""",
                Boolean.class,
                run.state,
                Json.text(run.progress),
                Json.text(run.told),
                run.records,
                run.compared,
                run.unverified,
                run.repaired,
                Timestamp.from(run.nextAt),
                List.of("done", "failed").contains(run.state),
                run.run,
                run.turn);
        if (goesOn.isEmpty()) {
            throw new TurnLost();
        }
        return goesOn.get(0);
    }

    // -- what is known

    long records(String entity) {
        Long count = jdbc.queryForObject("select count(*) from golden where entity = ?", Long.class, entity);
        return count == null ? 0 : count;
    }

    long unknownDigests(String entity, String system) {
        Long count = jdbc.queryForObject(
                "select count(*) from base where entity = ? and system = ? and present and digest is null",
                Long.class,
                entity,
                system);
        return count == null ? 0 : count;
    }

    /**
     * Of what a system listed, the ids whose digest is not that of their base. Each base is found by its key:
     * the planner is not told how many bases an entity has, and a join would read them all for every page.
     */
    List<String> differing(String entity, String system, Map<String, String> digests) {
        String[] ids = digests.keySet().toArray(String[]::new);
        String[] values = digests.values().toArray(String[]::new);
        return jdbc.queryForList("""
                select u.id from unnest(?::text[], ?::text[]) as u (id, digest)
                where (select b.present and b.digest = u.digest from base b
                  where b.entity = ? and b.id = u.id and b.system = ?) is not true""", String.class, ids, values, entity, system);
    }

    /** The bases' digests of all buckets, as a system that holds the same would give them. */
    Map<Integer, String> buckets(String entity, String system) {
        Map<Integer, String> buckets = new HashMap<>();
        for (int first = 0; first < Comparison.BUCKETS; first += SOME_BUCKETS) {
            // bucket by bucket in the order of the index, which knows each: to compute it is dearer than all else
            jdbc.query(
                    """
                    select n as bucket, encode(sha256(convert_to(of.lines, 'UTF8')), 'hex') as digest
                    from generate_series(?, ?) n cross join lateral (
                      select string_agg(id || ' ' || coalesce(digest, '') || E'\\n', '' order by id collate "C") as lines
                      from base where entity = ? and system = ? and present and bucket(id) = n) as of
                    where lines is not null""",
                    row -> {
                        buckets.put(row.getInt("bucket"), row.getString("digest"));
                    },
                    first,
                    first + SOME_BUCKETS - 1,
                    entity,
                    system);
        }
        return buckets;
    }

    /** Digests of the bases of some buckets, by id; unknown ones are empty. */
    Map<String, String> bucket(String entity, String system, List<Integer> buckets) {
        return byId(
                "select id, digest from base where entity = ? and system = ? and present and bucket(id) = any (?)",
                entity,
                system,
                buckets.toArray(Integer[]::new));
    }

    /** Digests of the bases whose ids lie beyond {@code after} and up to {@code until} by their bytes; null: to the end. */
    Map<String, String> range(String entity, String system, String after, String until) {
        return byId("""
                select id, digest from base where entity = ? and system = ? and present and id collate "C" > ?
                  and (cast(? as text) is null or id collate "C" <= ?)""", entity, system, after, until, until);
    }

    private Map<String, String> byId(String sql, Object... arguments) {
        Map<String, String> digests = new HashMap<>();
        jdbc.query(
                sql,
                row -> {
                    String digest = row.getString("digest");
                    digests.put(row.getString("id"), digest == null ? "" : digest);
                },
                arguments);
        return digests;
    }

    /** Ids of bases in the order of their bytes. */
    List<String> ids(String entity, String system, String after, int limit) {
        return jdbc.queryForList("""
                select id from base where entity = ? and system = ? and present and id collate "C" > ?
                order by id collate "C" limit ?""", String.class, entity, system, after, limit);
    }

    long between(String entity, String system, String first, String last) {
        Long count = jdbc.queryForObject("""
                select count(*) from base where entity = ? and system = ? and present
                  and id collate "C" between ? and ?""", Long.class, entity, system, first, last);
        return count == null ? 0 : count;
    }

    /** Count and sum of the hashes of the ids of a system's bases, by {@link Keys}' buckets. */
    void keys(String entity, String system, Keys into) {
        jdbc.query(
                """
                select (hash & ?)::int as bucket, count(*) as count, sum(hash) as sum
                from (select ('x' || substr(md5(id), 1, 16))::bit(64)::bigint as hash
                      from base where entity = ? and system = ? and present) as keys
                group by 1""",
                row -> {
                    into.set(
                            row.getInt("bucket"),
                            row.getLong("count"),
                            row.getBigDecimal("sum").toBigInteger().longValue());
                },
                Keys.BUCKETS - 1,
                entity,
                system);
    }

    /** Ids of bases of some of {@link Keys}' buckets, in the order of their bytes. */
    List<String> keysOf(String entity, String system, List<Integer> buckets, String after, int limit) {
        return jdbc.queryForList(
                """
                select id from base where entity = ? and system = ? and present and id collate "C" > ?
                  and ((('x' || substr(md5(id), 1, 16))::bit(64)::bigint) & ?)::int = any (?)
                order by id collate "C" limit ?""", String.class, entity, system, after, Keys.BUCKETS - 1, buckets.toArray(Integer[]::new), limit);
    }

    /** The last id of the page of golden records behind {@code after}; null at the end. */
    String goldenPage(String entity, String after, int size) {
        List<String> last = jdbc.queryForList(
                "select id from golden where entity = ? and id > ? order by id offset ? limit 1",
                String.class,
                entity,
                after,
                size - 1);
        return last.isEmpty() ? null : last.get(0);
    }

    /**
     * Golden records whose base differs from them though nothing is due.
     *
     * @param without paths that the system does not hold
     */
    List<String> unequal(String entity, String system, String after, String until, List<String> without) {
        return jdbc.queryForList(
                """
                select g.id from golden g
                -- one by one by the key, see differing
                left join lateral (
                  select * from base where entity = g.entity and id = g.id and system = ? offset 0) as b on true
                where g.entity = ? and g.id > ? and (cast(? as text) is null or g.id <= ?) and b.doubt is not true
                  and not exists (select from due d where d.entity = g.entity and d.id = g.id and d.system = ?)
                  and case
                    -- most are the same text, which is told at a tenth of the cost
                    when b.present and g.held::text = b.held::text then false
                    when g.held ->> 'deleted' = 'true' then b.present and b.held ->> 'deleted' is distinct from 'true'
                    when b.present is not true then true
                    else g.held::jsonb <> b.held::jsonb and exists (
                      select from (select json_object_keys(g.held) union select json_object_keys(b.held)) as f (path)
                      where (g.held -> f.path)::jsonb is distinct from (b.held -> f.path)::jsonb
                        and split_part(f.path, '.', 1) <> all (?)
                        and not coalesce(jsonb_exists((b.detail -> 'sent')::jsonb, f.path), false)
                        and not coalesce(jsonb_exists((b.detail -> 'unusable')::jsonb, split_part(f.path, '.', 1)), false))
                    end""", String.class, system, entity, after, until, until, system, without.toArray(String[]::new));
    }

    /** Records to which something was delivered between two moments. */
    List<String> changed(String entity, Instant since, Instant until, int most) {
        return jdbc.queryForList("""
                select id from golden where entity = ? and id in (
                  select id from history where at between ? and ? and entity = ? and kind = 'delivered')
                limit ?""", String.class, entity, Timestamp.from(since), Timestamp.from(until), entity, most);
    }

    /** What is under way or stuck, by what it waits for. */
    Map<String, Long> underWay(String entity) {
        Map<String, Long> told = new HashMap<>();
        jdbc.query(
                """
                select count(*) filter (where b.waiting_for is not null) as waiting,
                  count(*) filter (where b.waiting_for is null and b.refused = g.version) as letters,
                  count(*) filter (where b.waiting_for is null and b.refused is distinct from g.version) as due,
                  count(*) filter (where b.doubt) as in_doubt
                from due d left join golden g on g.entity = d.entity and g.id = d.id
                left join base b on b.entity = d.entity and b.id = d.id and b.system = d.system
                where d.entity = ?""",
                row -> {
                    for (String what : List.of("waiting", "letters", "due", "in_doubt")) {
                        told.put(what, row.getLong(what));
                    }
                },
                entity);
        return told;
    }

    /** Records that a system shows otherwise than it was told. */
    long altered(String entity) {
        Long count = jdbc.queryForObject("""
                select count(*) from base b where b.entity = ? and b.detail -> 'sent' is not null and exists (
                  select from jsonb_each((b.detail -> 'sent')::jsonb) as s (path, value)
                  where nullif(s.value, 'null') is distinct from nullif((b.held -> s.path)::jsonb, 'null'))""", Long.class, entity);
        return count == null ? 0 : count;
    }

    /** Records with a field that could not be put into normal form, and so is not compared; each has its letter. */
    long unusable(String entity) {
        Long count = jdbc.queryForObject(
                "select count(distinct id) from base where entity = ? and detail -> 'unusable' is not null",
                Long.class,
                entity);
        return count == null ? 0 : count;
    }

    /** Keeps the digests of records that were read and are what their bases say, as long as those are the same. */
    void remember(String entity, String system, List<Observation> looks, Map<String, Long> revisions) {
        List<Observation> known = looks.stream()
                .filter(look -> look.exists() && look.digest() != null && revisions.get(look.id()) != null)
                .toList();
        if (known.isEmpty()) {
            return;
        }
        jdbc.update(
                """
                with shown as (
                  select b.at, u.digest
                  from unnest(?::text[], ?::text[], ?::bigint[]) as u (id, digest, revision)
                  -- one by one by the key, see differing
                  cross join lateral (
                    select b.ctid as at from base b where b.entity = ? and b.system = ? and b.id = u.id
                      and b.revision = u.revision and b.digest is distinct from u.digest
                    offset 0 for no key update skip locked) as b)
                update base b set digest = shown.digest from shown where b.ctid = shown.at""",
                known.stream().map(Observation::id).toArray(String[]::new),
                known.stream().map(Observation::digest).toArray(String[]::new),
                known.stream().map(look -> revisions.get(look.id())).toArray(Long[]::new),
                entity,
                system);
    }

    // -- differences

    /** Ids to be looked at. */
    void suspect(Run run, String system, Collection<String> ids) {
        if (!ids.isEmpty()) {
            jdbc.update("""
                    insert into verification_difference (run, entity, record_id, system)
                    select ?, ?, id, ? from unnest(?::text[]) as u (id) on conflict do nothing""", run.run, run.entity, system, ids.toArray(String[]::new));
        }
    }

    /** What was seen at a look; a row that is there already keeps its number of rounds and gets one more. */
    record Seen(String id, Judge.Verdict verdict, Observation look, String state, String decision) {}

    void seen(Run run, String system, List<Seen> seen) {
        if (seen.isEmpty()) {
            return;
        }
        jdbc.update(
                """
                insert into verification_difference as d
                  (run, entity, record_id, system, kind, fields, changed, found, print, decision, state)
                select ?, ?, u.id, ?, u.kind, u.fields::jsonb, u.changed::jsonb, u.found::jsonb, u.print, u.decision, u.state
                from unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[])
                  as u (id, kind, fields, changed, found, print, decision, state)
                where exists (select from verification_run r where r.run = ? and r.turn = ?)
                on conflict (run, record_id, system) do update set kind = excluded.kind, fields = excluded.fields,
                  changed = excluded.changed, found = excluded.found, print = excluded.print, state = excluded.state,
                  decision = excluded.decision, looked_at = clock_timestamp(),
                  rounds = d.rounds + case when d.print is null then 0 else 1 end""",
                run.run,
                run.entity,
                system,
                texts(seen, Seen::id),
                texts(seen, s -> s.verdict().kind()),
                texts(seen, s -> Json.text(s.verdict().fields())),
                texts(seen, s -> Json.text(s.verdict().changed())),
                texts(seen, s -> found(s.look())),
                texts(seen, s -> s.verdict().print()),
                texts(seen, Seen::decision),
                texts(seen, Seen::state),
                run.run,
                run.turn);
    }

    private static String[] texts(List<Seen> seen, java.util.function.Function<Seen, String> text) {
        return seen.stream().map(text).toArray(String[]::new);
    }

    private static String found(Observation look) {
        if (look == null) {
            return null;
        }
        ObjectNode found = Json.MAPPER.createObjectNode();
        found.put("exists", look.exists());
        found.set("data", look.data());
        found.put("updated_at", look.position());
        return Json.text(found);
    }

    void drop(Run run, String system, Collection<String> ids) {
        if (!ids.isEmpty()) {
            jdbc.update("""
                    delete from verification_difference where run = ? and system = ? and record_id = any (?)
                      and exists (select from verification_run r where r.run = ? and r.turn = ?)""", run.run, system, ids.toArray(String[]::new), run.run, run.turn);
        }
    }

    void state(Run run, String system, Collection<String> ids, String state) {
        if (!ids.isEmpty()) {
            jdbc.update("""
                    update verification_difference set state = ?, looked_at = clock_timestamp(), rounds = rounds + 1
                    where run = ? and system = ? and record_id = any (?)
                      and exists (select from verification_run r where r.run = ? and r.turn = ?)""", state, run.run, system, ids.toArray(String[]::new), run.run, run.turn);
        }
    }

    /** Differences in a state, last looked at before a moment or never, in the order of their bytes. */
    List<Difference> differences(Run run, String system, List<String> states, Instant before) {
        return jdbc.query(
                """
                select id, record_id, system, kind, print, rounds, decision, state from verification_difference
                where run = ? and system = ? and state = any (?) and (print is null or looked_at <= ?)
                order by record_id collate "C" limit ?""",
                (row, n) -> new Difference(
                        row.getLong("id"),
                        row.getString("record_id"),
                        row.getString("system"),
                        row.getString("kind"),
                        row.getString("print"),
                        row.getInt("rounds"),
                        row.getString("decision"),
                        row.getString("state")),
                run.run,
                system,
                states.toArray(String[]::new),
                Timestamp.from(before),
                CHUNK);
    }

    /** When the first of those in a state was looked at; null where there are none. */
    Instant earliest(Run run, List<String> states) {
        Timestamp at = jdbc.queryForObject(
                "select min(looked_at) from verification_difference where run = ? and state = any (?)",
                Timestamp.class,
                run.run,
                states.toArray(String[]::new));
        return at == null ? null : at.toInstant();
    }

    /** Those in a state can't be settled. @return how many they are */
    int giveUp(Run run, String state) {
        return jdbc.update(
                "update verification_difference set state = 'unverified' where run = ? and state = ?", run.run, state);
    }

    /** What a repair has kept of a record: what differed, and how it was found or what its undo changes. */
    record Kept(JsonNode fields, JsonNode found) {}

    Map<String, Kept> kept(Run run, String system, Collection<String> ids) {
        Map<String, Kept> kept = new HashMap<>();
        jdbc.query(
                """
                select record_id, fields::text as fields, found::text as found from verification_difference
                where run = ? and system = ? and record_id = any (?)""",
                row -> {
                    String found = row.getString("found");
                    kept.put(
                            row.getString("record_id"),
                            new Kept(Json.read(row.getString("fields")), found == null ? null : Json.read(found)));
                },
                run.run,
                system,
                ids.toArray(String[]::new));
        return kept;
    }

    /** Keeps what an undo changes, before it does. */
    void begun(Run run, String system, Map<String, String> undos) {
        jdbc.batchUpdate(
                """
                update verification_difference set found = ?::jsonb, state = 'repairing', looked_at = clock_timestamp(),
                  rounds = rounds + 1
                where run = ? and system = ? and record_id = ?""",
                undos.entrySet().stream()
                        .map(undo -> new Object[] {undo.getValue(), run.run, system, undo.getKey()})
                        .toList());
    }

    long count(long run, String... states) {
        Long count = jdbc.queryForObject(
                "select count(*) from verification_difference where run = ? and state = any (?)",
                Long.class,
                run,
                states);
        return count == null ? 0 : count;
    }

    /** Decides what is done about what was confirmed. */
    void decide(Run run, String kind, String decision, String state) {
        jdbc.update("""
                update verification_difference set state = ?, decision = case when ? = 'report' then 'report'
                  when decision = 'observe' then decision else ? end
                where run = ? and kind = ? and state = 'confirmed' and decision is distinct from 'report'""", state, decision, decision, run.run, kind);
    }

    // -- time to converge

    /** The time within which 99 of 100 changes arrived, lately; null where none is known. */
    Duration p99(String entity, Duration within) {
        Map<Long, Long> counts = new java.util.TreeMap<>();
        jdbc.query(
                """
                select bound, sum(count) as count from verification_lag, unnest(bounds, counts) as b (bound, count)
                where (cast(? as text) is null or entity = ?) and at > clock_timestamp() - cast(? as interval)
                group by bound""",
                row -> {
                    counts.put(row.getLong("bound"), row.getLong("count"));
                },
                entity,
                entity,
                within.toSeconds() + " seconds");
        long total = counts.values().stream().mapToLong(Long::longValue).sum();
        long seen = 0;
        for (Map.Entry<Long, Long> count : counts.entrySet()) {
            seen += count.getValue();
            if (seen > 0 && seen >= 0.99 * total) {
                return Duration.ofMillis(count.getKey());
            }
        }
        return null;
    }
}
