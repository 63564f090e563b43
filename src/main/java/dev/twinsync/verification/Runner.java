package dev.twinsync.verification;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.merge.Golden;
import dev.twinsync.merge.Merge;
import dev.twinsync.merge.Observation;
import dev.twinsync.record.Field;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.state.Observations;
import dev.twinsync.state.Records;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import javax.sql.DataSource;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.core.env.Environment;
import org.springframework.stereotype.Component;

/**
 * Carries the runs on, step by step: compare digests in sets, look at what differs, look again when all was quiet, mend.
 * Each step is stored before the next begins, so that a run goes on where it was after any end of the service. One
 * instance runs at a time, under a lock of its session; a turn that lost it can't store anything.
 */
@Component
class Runner {

    private static final Logger LOG = LoggerFactory.getLogger(Runner.class);
    private static final Duration TURN = Duration.ofSeconds(20);
    private static final int SET = 500;
    private static final int READS = 100;
    private static final int GOLDEN_PAGE = 5000;

    /** Of an API's digests, as the contract has them. */
    private static final int BUCKETS = 1024;

    private static final int BUCKETS_A_STEP = 16;

    private static final Instant END = Instant.parse("9999-01-01T00:00:00Z");

    private final Schemas schemas;
    private final Records records;
    private final Observations observations;
    private final Runs runs;
    private final Ends ends;
    private final SelfTest selfTest;
    private final Settings settings;
    private final DataSource state;

    /** Keys seen by the pass that is under way; after a restart they are not known, and all keys are compared. */
    private final Map<String, Keys> seen = new HashMap<>();

    Runner(
            Schemas schemas,
            Records records,
            Observations observations,
            Runs runs,
            Ends ends,
            SelfTest selfTest,
            DataSource state,
            Environment environment) {
        this.schemas = schemas;
        this.records = records;
        this.observations = observations;
        this.runs = runs;
        this.ends = ends;
        this.selfTest = selfTest;
        this.state = state;
        this.settings = Settings.of(environment);
    }

    /** One turn: the steps that can be done now, for a while, if no other instance is at it. */
    void turn() {
        try (Connection lock = state.getConnection()) {
            if (!locked(lock, "select pg_try_advisory_lock(hashtextextended('twinsync/verification', 0))")) {
                return;
            }
            try {
                Instant until = Instant.now().plus(TURN);
                Run run = runs.take();
                while (run != null && Instant.now().isBefore(until)) {
                    work(run, until);
                    run = runs.take();
                }
            } finally {
                locked(lock, "select pg_advisory_unlock(hashtextextended('twinsync/verification', 0))");
            }
        } catch (Runs.TurnLost e) {
            LOG.warn("{}", e.getMessage());
        } catch (SQLException e) {
            LOG.warn("verification can't take its lock: {}", e.getMessage());
        }
    }

    private static boolean locked(Connection connection, String sql) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql);
                ResultSet row = statement.executeQuery()) {
            return row.next() && row.getBoolean(1);
        }
    }

    private void work(Run run, Instant until) {
        Schema schema = schemas.has(run.entity) ? schemas.of(run.entity) : null;
        Map<String, Long> before = ends.load();
        Run.Mark mark = run.mark();
        try {
            boolean goesOn = true;
            while (goesOn
                    && run.open()
                    && !run.nextAt.isAfter(Instant.now())
                    && Instant.now().isBefore(until)) {
                if (schema == null) {
                    run.state = "failed";
                    run.told.put("trouble", "there is no entity " + run.entity + " any more");
                } else {
                    step(run, schema);
                }
                run.told.remove("trouble");
                Map<String, Long> now = ends.load();
                for (String what : now.keySet()) {
                    run.tell(what, now.get(what) - before.get(what));
                }
                before = now;
                goesOn = runs.save(run);
                mark = run.mark();
            }
        } catch (Runs.TurnLost e) {
            throw e;
        } catch (RuntimeException e) {
            Throwable cause = e;
            while (cause.getCause() != null && cause.getCause() != cause) {
                cause = cause.getCause();
            }
            // an end that is away, or an error of ours: the step is done again, whole, and the run says what holds it
            // up
            run.back(mark);
            LOG.warn("verification {} of {} waits: {}", run.run, run.entity, cause.toString());
            LOG.debug("verification {}", run.run, e);
            run.told.put("trouble", cause.getClass().getSimpleName() + ": " + cause.getMessage());
            run.nextAt = Instant.now().plusSeconds(5);
            runs.save(run);
        }
    }

    private void step(Run run, Schema schema) {
        switch (run.state) {
            case "queued" -> {
                if (run.origin.equals("self_test") && !selfTest.plant(run, schema)) {
                    return;
                }
                run.state = run.origin.equals("undo") ? "repairing" : "running";
                run.progress.removeAll();
                run.records = run.ids == null ? runs.records(run.entity) : run.ids.size();
                run.progress.put("system", schema.systems().get(0)).put("after", "");
            }
            case "running" -> compare(run, schema);
            case "confirming" -> confirm(run, schema);
            case "repairing" -> repair(run, schema);
            default -> throw new IllegalStateException("no such state: " + run.state);
        }
    }

    // -- compare

    private void compare(Run run, Schema schema) {
        String system = run.progress.path("system").asText();
        if (late(run)) {
            long left = left(run, schema, system);
            run.unverified += left;
            run.told.put(
                    "cut",
                    "the run took longer than " + settings.longest() + ": " + left + " records of " + system
                            + " and what comes after it were not compared");
            run.state = "confirming";
            return;
        }
        boolean sweep = run.origin.equals("sweep");
        if (sweep) {
            lately(run, schema);
            Instant turn = Instant.parse(run.progress.path("step_at").asText(Instant.EPOCH.toString()));
            if (Instant.now().isBefore(turn)) {
                run.nextAt = soon(turn);
                return;
            }
        }
        if (system.equals("golden")) {
            golden(run, schema);
        } else if (run.ids != null) {
            given(run, schema, system);
        } else if (ends.isTable(system, schema)) {
            table(run, schema, system);
        } else {
            api(run, schema, system);
        }
        if (sweep && run.state.equals("running")) {
            // what is left of the sweep is spread over what is left of its days
            Instant end = run.startedAt.plusMillis((long) (settings.sweepDays() * 86_400_000));
            Duration left = Duration.between(Instant.now(), end);
            Instant turn = Instant.now().plus(left.isNegative() ? Duration.ZERO : left.dividedBy(steps(run, schema)));
            run.progress.put("step_at", turn.toString());
            run.nextAt = soon(turn);
        }
    }

    /** How many records are not compared where a run ends at this system. */
    private static long left(Run run, Schema schema, String system) {
        int at = schema.systems().indexOf(system);
        if (at >= 0 && at < schema.systems().size() - 1) {
            return run.records;
        }
        int buckets = run.progress.path("buckets").size();
        return buckets > 0
                ? Math.max(buckets, run.records * buckets / BUCKETS)
                : Math.max(0, run.records - run.progress.path("listed").asLong());
    }

    /** What a person or the schedule has asked for ends, one day; a sweep has its own days. */
    private boolean late(Run run) {
        return !run.origin.equals("sweep")
                && run.startedAt.plus(settings.longest()).isBefore(Instant.now());
    }

    private static Instant soon(Instant turn) {
        Instant minute = Instant.now().plusSeconds(60);
        return turn.isBefore(minute) ? turn : minute;
    }

    /** How many steps are left, roughly: pages of rows, of a listing and of golden records, buckets, sets of reads. */
    private long steps(Run run, Schema schema) {
        String at = run.progress.path("system").asText();
        long steps = 1 + run.records / GOLDEN_PAGE;
        int from =
                at.equals("golden") ? schema.systems().size() : schema.systems().indexOf(at);
        for (String system : schema.systems().subList(from, schema.systems().size())) {
            boolean now = system.equals(at);
            long records =
                    Math.max(0, run.records - (now ? run.progress.path("listed").asLong() : 0));
            boolean single = now && run.progress.path("mode").asText().equals("single");
            int page = ends.isTable(system, schema) ? settings.appPage() : single ? READS : settings.miniPage();
            steps += 2 + records / page + (now ? run.progress.path("buckets").size() / BUCKETS_A_STEP : 0);
        }
        return steps;
    }

    /** A sweep looks, every minute, at what was changed lately, and again at what differed. */
    private void lately(Run run, Schema schema) {
        Duration quiet = quiet(run.entity);
        again(run, schema, quiet);
        Instant since = run.progress.has("lately")
                ? Instant.parse(run.progress.path("lately").asText())
                : Instant.now().minusSeconds(60);
        Instant until = Instant.now().minus(quiet);
        if (until.isAfter(since)) {
            List<String> lately = runs.jdbc()
                    .queryForList(
                            """
                            select id from golden where entity = ? and id in (
                              select id from history where at between ? and ? and entity = ? and kind = 'delivered')
                            limit ?""",
                            String.class,
                            run.entity,
                            java.sql.Timestamp.from(since),
                            java.sql.Timestamp.from(until),
                            run.entity,
                            SET);
            for (String system : schema.systems()) {
                // the gentle sweep must not cost an API more than a few calls at a time
                int most = ends.isTable(system, schema) ? SET : 20;
                examine(run, schema, system, lately.subList(0, Math.min(most, lately.size())), null);
            }
            run.tell("lately", lately.size());
            run.progress.put("lately", until.toString());
        }
    }

    private void next(Run run, Schema schema, String system) {
        long listed = run.progress.path("listed").asLong();
        run.told.put("compared_" + system, listed);
        run.compared = Math.max(run.compared, listed);
        int at = schema.systems().indexOf(system) + 1;
        ObjectNode progress = Json.MAPPER.createObjectNode();
        if (run.progress.has("lately")) {
            progress.set("lately", run.progress.get("lately"));
        }
        run.progress = progress;
        progress.put("system", at < schema.systems().size() ? schema.systems().get(at) : "golden");
        progress.put("after", "");
        seen.remove(run.run + system);
    }

    private void listed(Run run, long more) {
        run.progress.put("listed", run.progress.path("listed").asLong() + more);
    }

    /** Records that were named: each end is looked at, whatever the digests say. */
    private void given(Run run, Schema schema, String system) {
        int from = run.progress.path("listed").asInt();
        List<String> ids = run.ids.subList(from, Math.min(run.ids.size(), from + SET));
        examine(run, schema, system, ids, null);
        listed(run, ids.size());
        if (from + ids.size() >= run.ids.size()) {
            next(run, schema, system);
            if (run.progress.path("system").asText().equals("golden")) {
                run.state = "confirming";
            }
        }
    }

    private void table(Run run, Schema schema, String system) {
        if (run.progress.has("keys")) {
            probe(run, schema, system);
            return;
        }
        String after = run.progress.path("after").asText();
        Keys keys = after.isEmpty() ? new Keys() : seen.get(run.run + system);
        Map<String, String> page = ends.page(system, schema, after);
        String last = null;
        for (String id : page.keySet()) {
            last = id;
            if (keys != null) {
                keys.add(id);
            }
        }
        examine(run, schema, system, runs.differing(run.entity, system, page), null);
        listed(run, page.size());
        if (keys != null) {
            seen.put(run.run + system, keys);
        }
        if (page.size() == settings.appPage()) {
            run.progress.put("after", last);
            return;
        }
        // what the bases hold and the table does not have
        ArrayNode buckets = run.progress.putArray("keys");
        run.progress.put("all", keys == null);
        run.progress.put("after", "");
        if (keys != null) {
            Keys known = new Keys();
            runs.keys(run.entity, system, known);
            keys.differing(known).forEach(buckets::add);
        }
        if (keys != null && buckets.isEmpty()) {
            next(run, schema, system);
        }
    }

    private void probe(Run run, Schema schema, String system) {
        List<Integer> buckets = new ArrayList<>();
        run.progress.path("keys").forEach(bucket -> buckets.add(bucket.asInt()));
        String after = run.progress.path("after").asText();
        List<String> ids = run.progress.path("all").asBoolean()
                ? runs.ids(run.entity, system, after, settings.appPage())
                : runs.keysOf(run.entity, system, buckets, after, settings.appPage());
        if (!ids.isEmpty()) {
            Map<String, String> there = ends.digests(system, schema, ids);
            examine(
                    run,
                    schema,
                    system,
                    ids.stream().filter(id -> !there.containsKey(id)).toList(),
                    null);
            run.progress.put("after", ids.get(ids.size() - 1));
        }
        if (ids.size() < settings.appPage()) {
            next(run, schema, system);
        }
    }

    private void api(Run run, Schema schema, String system) {
        switch (run.progress.path("mode").asText("")) {
            case "" -> mode(run, schema, system);
            case "digests" -> buckets(run, schema, system);
            case "listing" -> listing(run, schema, system);
            default -> single(run, schema, system);
        }
    }

    /** The cheapest way that this API has. */
    private void mode(Run run, Schema schema, String system) {
        Map<Integer, String> there = ends.buckets(system, schema);
        boolean known = runs.unknownDigests(run.entity, system) * 10 <= run.records;
        if (there != null && known && contractual(run, schema, system, there.keySet())) {
            Map<Integer, String> here = runs.buckets(run.entity, system);
            Set<Integer> all = new java.util.TreeSet<>(there.keySet());
            all.addAll(here.keySet());
            ArrayNode open = run.progress.putArray("buckets");
            for (Integer bucket : all) {
                if (!java.util.Objects.equals(there.get(bucket), here.get(bucket))) {
                    open.add(bucket);
                }
            }
            run.progress.put("mode", "digests");
            run.told.put("by_" + system, "digests");
            run.told.put("buckets_" + system, open.size());
            listed(run, run.records);
            return;
        }
        boolean lists = ends.list(system, schema, "") != null;
        run.progress.put("mode", lists ? "listing" : "single");
        run.told.put("by_" + system, lists ? "listing" : "single reads");
        if (!lists) {
            run.told.put(
                    "unseen_" + system,
                    "there is no listing: records that " + system
                            + " alone has, and that Twinsync does not know, can't be seen");
        }
    }

    /** Whether the API's digests are what its contract says; where they are not, they say nothing. */
    private boolean contractual(Run run, Schema schema, String system, Collection<Integer> buckets) {
        if (buckets.isEmpty()) {
            return true;
        }
        Map<String, String> told =
                ends.bucket(system, schema, buckets.iterator().next());
        if (told == null || told.isEmpty()) {
            return told != null;
        }
        List<String> some = told.keySet().stream().limit(3).toList();
        boolean any = ends.look(system, schema, some).values().stream()
                .anyMatch(look -> !look.exists() || told.get(look.id()).equals(look.digest()));
        if (!any) {
            run.told.put(
                    "digests_" + system,
                    "the digests of " + system
                            + " are not over the canonical JSON (RFC 8785) of what it shows: not used");
        }
        return any;
    }

    private void buckets(Run run, Schema schema, String system) {
        ArrayNode open = (ArrayNode) run.progress.path("buckets");
        List<Integer> some = new ArrayList<>();
        while (!open.isEmpty() && some.size() < BUCKETS_A_STEP) {
            some.add(open.remove(open.size() - 1).asInt());
        }
        if (some.isEmpty()) {
            next(run, schema, system);
            return;
        }
        Map<String, String> here = runs.bucket(run.entity, system, some);
        Set<String> suspects = new HashSet<>();
        Set<String> listed = new HashSet<>();
        for (int bucket : some) {
            Map<String, String> there = ends.bucket(system, schema, bucket);
            if (there == null) {
                throw new IllegalStateException("the digests of " + system + " are gone");
            }
            there.forEach((id, digest) -> {
                if (schema.refuseId(id) != null) {
                    skipped(run, system, 1);
                } else if (!digest.equals(here.get(id))) {
                    suspects.add(id);
                }
                listed.add(id);
            });
        }
        here.keySet().stream().filter(id -> !listed.contains(id)).forEach(suspects::add);
        // looked at when all are known: in the order of their keys, where a listing may be cheaper than one by one
        runs.suspect(run, system, suspects);
    }

    private void listing(Run run, Schema schema, String system) {
        String after = run.progress.path("after").asText();
        Ends.Listed page = ends.list(system, schema, after);
        if (page == null) {
            throw new IllegalStateException("the listing of " + system + " is gone");
        }
        Map<String, String> here = runs.range(run.entity, system, after, page.next());
        List<Observation> differing = new ArrayList<>();
        for (Observation look : page.looks()) {
            String digest = here.remove(look.id());
            if (digest == null || !digest.equals(look.digest())) {
                differing.add(look);
            }
        }
        skipped(run, system, page.skipped());
        // in the range and not listed: read by key, since it may have been made in between
        runs.suspect(run, system, here.keySet());
        listed(run, page.looks().size());
        judged(run, schema, system, differing);
        if (page.next() == null) {
            next(run, schema, system);
        } else {
            run.progress.put("after", page.next());
        }
    }

    /** Records whose ids can't be ids here, or that are not what the contract says a record is. */
    private static void skipped(Run run, String system, int count) {
        if (count > 0) {
            run.tell("skipped_" + system, count);
            run.unverified += count;
        }
    }

    private void single(Run run, Schema schema, String system) {
        String after = run.progress.path("after").asText();
        List<String> ids = runs.ids(run.entity, system, after, READS);
        if (!ids.isEmpty()) {
            examine(run, schema, system, ids, null);
            listed(run, ids.size());
            run.progress.put("after", ids.get(ids.size() - 1));
        }
        if (ids.size() < READS) {
            next(run, schema, system);
        }
    }

    /** Golden records against bases, in our own database. */
    private void golden(Run run, Schema schema) {
        String after = run.progress.path("after").asText();
        String until = runs.goldenPage(run.entity, after, GOLDEN_PAGE);
        for (String system : schema.systems()) {
            List<String> without = schema.fields().stream()
                    .filter(field -> !field.systems().contains(system))
                    .map(Field::name)
                    .toList();
            runs.suspect(run, system, runs.unequal(run.entity, system, after, until, without));
        }
        if (until == null) {
            run.progress = Json.MAPPER.createObjectNode();
            run.state = "confirming";
        } else {
            run.progress.put("after", until);
        }
    }

    // -- look

    /** Looks at records and keeps what is not equal; {@code known} says what was seen of them before. */
    private void examine(Run run, Schema schema, String system, List<String> ids, Map<String, Runs.Difference> known) {
        for (int i = 0; i < ids.size(); i += SET) {
            List<String> set = ids.subList(i, Math.min(ids.size(), i + SET));
            Map<String, Records.Snapshot> snapshots = records.load(run.entity, set);
            Map<String, Observation> looks = look(run, schema, system, set);
            List<String> unread =
                    set.stream().filter(id -> !looks.containsKey(id)).toList();
            if (!unread.isEmpty()) {
                runs.suspect(run, system, unread);
                runs.state(run, system, unread, "unverified");
                run.unverified += unread.size();
                run.tell("unread_" + system, unread.size());
            }
            settle(run, schema, system, snapshots, List.copyOf(looks.values()), known == null ? Map.of() : known);
        }
    }

    /** What was listed is judged by what is known by now; should that be newer, the next look will tell. */
    private void judged(Run run, Schema schema, String system, List<Observation> looks) {
        for (int i = 0; i < looks.size(); i += SET) {
            List<Observation> set = looks.subList(i, Math.min(looks.size(), i + SET));
            Map<String, Records.Snapshot> snapshots =
                    records.load(run.entity, set.stream().map(Observation::id).toList());
            settle(run, schema, system, snapshots, set, Map.of());
        }
    }

    /** Reads by key, or by listing the stretch between the first and the last key where that takes fewer calls. */
    private Map<String, Observation> look(Run run, Schema schema, String system, List<String> ids) {
        if (ends.isTable(system, schema) || ids.size() < 3) {
            return ends.look(system, schema, ids);
        }
        List<String> sorted = ids.stream().sorted(Runner::byBytes).toList();
        String last = sorted.get(sorted.size() - 1);
        long pages = runs.between(run.entity, system, sorted.get(0), last) / settings.miniPage() + 2;
        if (pages >= ids.size()) {
            return ends.look(system, schema, ids);
        }
        Set<String> wanted = new HashSet<>(ids);
        Map<String, Observation> looks = new LinkedHashMap<>(ends.look(system, schema, sorted.subList(0, 1)));
        String after = sorted.get(0);
        while (after != null && byBytes(after, last) < 0) {
            Ends.Listed page = ends.list(system, schema, after);
            if (page == null) {
                break;
            }
            page.looks().stream()
                    .filter(look -> wanted.contains(look.id()))
                    .forEach(look -> looks.put(look.id(), look));
            after = page.next();
        }
        // what the listing did not show is read by key: only then it is believed not to be there
        List<String> left = ids.stream().filter(id -> !looks.containsKey(id)).toList();
        if (!left.isEmpty()) {
            looks.putAll(ends.look(system, schema, left));
        }
        return looks;
    }

    private static int byBytes(String one, String other) {
        return java.util.Arrays.compareUnsigned(
                one.getBytes(StandardCharsets.UTF_8), other.getBytes(StandardCharsets.UTF_8));
    }

    private void settle(
            Run run,
            Schema schema,
            String system,
            Map<String, Records.Snapshot> snapshots,
            List<Observation> looks,
            Map<String, Runs.Difference> known) {
        List<Runs.Seen> seen = new ArrayList<>();
        List<Observation> equal = new ArrayList<>();
        List<String> gone = new ArrayList<>();
        Map<String, Long> revisions = new HashMap<>();
        for (Observation look : looks) {
            if (look.id().startsWith(SelfTest.PREFIX) && !run.origin.equals("self_test")) {
                // planted for another run, whose memory of them is false on purpose
                continue;
            }
            Records.Snapshot snapshot = snapshots.get(look.id());
            Judge.Verdict verdict = Judge.judge(schema, snapshot, look);
            Runs.Difference before = known.get(look.id());
            int rounds = before == null ? 0 : before.rounds() + 1;
            if (verdict.unreadable() && before == null && !unusable(snapshot, system)) {
                run.tell("unreadable", 1);
                run.unverified++;
            }
            switch (verdict.outcome()) {
                case EQUAL -> {
                    if (!verdict.unreadable() && snapshot.bases().get(system) != null) {
                        equal.add(look);
                        revisions.put(look.id(), snapshot.bases().get(system).revision());
                    }
                    gone.add(look.id());
                }
                case WAITING, LETTER -> gone.add(look.id());
                default -> {
                    boolean quiet = before != null
                            && before.print() != null
                            && verdict.outcome() == Judge.Outcome.DIFFERENT
                            && before.print().equals(verdict.print());
                    String state = quiet ? "confirmed" : rounds > settings.rounds() ? "unverified" : "candidate";
                    if (state.equals("unverified")) {
                        run.unverified++;
                        run.tell("never_quiet", 1);
                    }
                    seen.add(new Runs.Seen(look.id(), verdict, look, state, quiet ? decision(run, verdict) : null));
                }
            }
        }
        runs.remember(run.entity, system, equal, revisions);
        if (!known.isEmpty()) {
            runs.drop(run, system, gone);
        }
        runs.seen(run, system, seen);
    }

    /** A field that is known to be unusable there has its letter; such records are counted all at once, see confirmed. */
    private static boolean unusable(Records.Snapshot snapshot, String system) {
        return snapshot.bases().containsKey(system)
                && !snapshot.bases().get(system).unusable().isEmpty();
    }

    private String decision(Run run, Judge.Verdict verdict) {
        if (verdict.moved() || verdict.kind().equals("surplus")) {
            return "observe";
        }
        return settings.onDamage(run.entity, verdict.kind());
    }

    // -- confirm

    /** How long both ends must have been quiet: twice the time within which 99 of 100 changes arrived. */
    Duration quiet(String entity) {
        Duration p99 = runs.p99(entity, Duration.ofHours(1));
        Duration twice = p99 == null ? settings.quietFloor() : p99.multipliedBy(2);
        if (twice.compareTo(settings.quietFloor()) < 0) {
            return settings.quietFloor();
        }
        return twice.compareTo(settings.quietLongest()) > 0 ? settings.quietLongest() : twice;
    }

    private void confirm(Run run, Schema schema) {
        Duration quiet = quiet(run.entity);
        run.told.put("quiet_ms", quiet.toMillis());
        if (again(run, schema, quiet)) {
            return;
        }
        Instant earliest = runs.earliest(run, List.of("candidate"));
        if (earliest != null
                && run.startedAt
                        .plus(settings.longest())
                        .plus(settings.quietLongest())
                        .isBefore(Instant.now())) {
            run.unverified += runs.giveUp(run, "candidate");
            earliest = null;
        }
        if (earliest != null) {
            run.nextAt = earliest.plus(quiet).plusMillis(50);
            return;
        }
        confirmed(run, schema);
    }

    /** Looks again at what differed a quiet time ago. @return false where there is nothing of the kind */
    private boolean again(Run run, Schema schema, Duration quiet) {
        Instant before = Instant.now().minus(quiet);
        for (String system : schema.systems()) {
            List<Runs.Difference> open = runs.differences(run, system, List.of("candidate"), before);
            if (!open.isEmpty()) {
                Map<String, Runs.Difference> known = new HashMap<>();
                open.forEach(difference -> known.put(difference.recordId(), difference));
                examine(
                        run,
                        schema,
                        system,
                        open.stream().map(Runs.Difference::recordId).toList(),
                        known);
                return true;
            }
        }
        return false;
    }

    private void confirmed(Run run, Schema schema) {
        if (run.origin.equals("self_test")) {
            selfTest.end(run, schema);
        }
        runs.underWay(run.entity).forEach(run.told::put);
        run.told.put("altered", runs.altered(run.entity));
        if (run.ids == null) {
            long unusable = runs.unusable(run.entity);
            run.told.put("unusable", unusable);
            run.unverified += unusable;
        }
        for (String kind : Settings.KINDS) {
            String most = settings.most(run.entity, kind);
            boolean report = run.repair.equals("none") || most.equals("report");
            String decision = report ? "report" : settings.onDamage(run.entity, kind);
            runs.decide(run, kind, decision, report ? "confirmed" : "planned");
        }
        long mend = runs.count(run.run, "planned");
        long cap = Math.max(settings.capRecords(), (long) (settings.capShare() * run.records));
        if (mend == 0) {
            run.state = "done";
        } else if (run.repair.equals("plan") || plans(run)) {
            run.state = "waiting_for_approval";
            run.told.put("why", mend + " repairs are planned");
        } else if (mend > cap) {
            run.state = "waiting_for_approval";
            run.told.put("why", mend + " repairs are more than " + cap + ", which is the most that is mended unasked");
            LOG.warn(
                    "verification {} of {} asks: {}",
                    run.run,
                    run.entity,
                    run.told.path("why").asText());
        } else {
            run.state = "repairing";
        }
    }

    /** Whether one of the kinds that were found may only be planned. */
    private boolean plans(Run run) {
        return Settings.KINDS.stream()
                .filter(kind -> settings.most(run.entity, kind).equals("plan"))
                .anyMatch(kind -> runs.jdbc()
                        .queryForObject(
                                "select exists (select from verification_difference where run = ? and kind = ? and state = 'planned')",
                                Boolean.class,
                                run.run,
                                kind));
    }

    // -- repair

    /**
     * Mends what is planned, and sees whether it was mended. What is mended is looked at once more right before, and the
     * merge does it only if nothing has happened since that look: a newer state wins.
     */
    private void repair(Run run, Schema schema) {
        if (!run.progress.has("repairing")) {
            run.progress.put("repairing", Instant.now().toString());
        }
        // what was sent on its way is looked at again after a moment, and mended again should it have been overtaken
        Instant before = Instant.now().minusSeconds(1);
        for (String system : schema.systems()) {
            List<Runs.Difference> open = runs.differences(run, system, List.of("planned"), END);
            if (open.isEmpty()) {
                open = runs.differences(run, system, List.of("repairing"), before);
            }
            if (!open.isEmpty()) {
                if (run.origin.equals("undo")) {
                    undo(run, system, open);
                } else {
                    mend(run, schema, system, open);
                }
                return;
            }
        }
        Instant earliest = runs.earliest(run, List.of("repairing"));
        if (earliest == null) {
            run.state = "done";
        } else if (Instant.parse(run.progress.path("repairing").asText())
                .plus(settings.longest())
                .isBefore(Instant.now())) {
            // an end that has been away for so long: what was sent still arrives, and the next run will see it
            run.unverified += runs.giveUp(run, "repairing");
        } else {
            run.nextAt = earliest.plusMillis(1050);
        }
    }

    private void mend(Run run, Schema schema, String system, List<Runs.Difference> open) {
        List<String> ids = open.stream().map(Runs.Difference::recordId).toList();
        Map<String, Records.Snapshot> snapshots = records.load(run.entity, ids);
        Map<String, Observation> looks = look(run, schema, system, ids);
        List<Observation> publish = new ArrayList<>();
        List<Runs.Seen> mended = new ArrayList<>();
        Map<String, List<String>> states = new HashMap<>();
        List<Observation> equal = new ArrayList<>();
        Map<String, Long> revisions = new HashMap<>();
        for (Runs.Difference difference : open) {
            Observation look = looks.get(difference.recordId());
            if (look == null) {
                states.computeIfAbsent("repairing", s -> new ArrayList<>()).add(difference.recordId());
                continue;
            }
            Records.Snapshot snapshot = snapshots.get(look.id());
            Judge.Verdict verdict = Judge.judge(schema, snapshot, look);
            String state;
            switch (verdict.outcome()) {
                case EQUAL -> {
                    state = difference.state().equals("repairing") ? "repaired" : "superseded";
                    if (snapshot.bases().get(system) != null) {
                        equal.add(look);
                        revisions.put(look.id(), snapshot.bases().get(system).revision());
                    }
                }
                case WAITING, LETTER -> state = "unverified";
                case IN_FLIGHT -> state = "repairing";
                default -> {
                    state = difference.rounds() > 10 * settings.rounds() ? "unverified" : "repairing";
                    boolean adopt = verdict.moved()
                            || verdict.kind().equals("surplus")
                            || "adopt".equals(difference.decision());
                    if (state.equals("repairing")) {
                        publish.add(adopt ? look : look.asRepair());
                        boolean edit = verdict.moved() || verdict.kind().equals("surplus");
                        String decision = edit ? "observe" : adopt ? "adopt" : "restate";
                        mended.add(new Runs.Seen(look.id(), verdict, look, state, decision));
                    }
                }
            }
            states.computeIfAbsent(state, s -> new ArrayList<>()).add(look.id());
        }
        // marked, with what is taken away, before it is published: should we end in between, it is looked at and mended
        // again
        runs.seen(run, system, mended);
        states.forEach((state, of) -> {
            runs.state(run, system, of, state);
            run.unverified += state.equals("unverified") ? of.size() : 0;
        });
        run.repaired = runs.count(run.run, "repaired");
        runs.remember(run.entity, system, equal, revisions);
        observations.publish(publish);
    }

    /**
     * Takes repairs back by edits of the operator, each stored before it is published: after an end of the service in
     * between, the golden record tells whether it has come to be.
     */
    private void undo(Run run, String system, List<Runs.Difference> open) {
        List<String> ids = open.stream().map(Runs.Difference::recordId).toList();
        Map<String, Records.Snapshot> snapshots = records.load(run.entity, ids);
        Map<String, Runs.Kept> kept = runs.kept(run, system, ids);
        Map<String, String> begun = new HashMap<>();
        Map<String, List<String>> states = new HashMap<>();
        List<Observation> publish = new ArrayList<>();
        for (Runs.Difference difference : open) {
            String id = difference.recordId();
            Golden golden = snapshots.get(id).golden();
            Undo undo = difference.state().equals("planned")
                    ? Undo.of(golden, system, difference.kind(), kept.get(id).fields())
                    : Undo.read(kept.get(id).found());
            Undo.Progress progress = undo == null ? Undo.Progress.OVERTAKEN : undo.progress(golden);
            switch (progress) {
                case DONE ->
                    states.computeIfAbsent("repaired", s -> new ArrayList<>()).add(id);
                case OVERTAKEN ->
                    states.computeIfAbsent("superseded", s -> new ArrayList<>()).add(id);
                default -> {
                    begun.put(id, undo.text());
                    String event = "undo/" + run.run + '/' + difference.id();
                    publish.add(Observations.push(
                            run.entity,
                            id,
                            Merge.OPERATOR,
                            undo.edit(),
                            null,
                            null,
                            UUID.nameUUIDFromBytes(event.getBytes(StandardCharsets.UTF_8))
                                    .toString()));
                }
            }
        }
        runs.begun(run, system, begun);
        states.forEach((state, of) -> runs.state(run, system, of, state));
        run.repaired = runs.count(run.run, "repaired");
        observations.publish(publish);
    }
}
