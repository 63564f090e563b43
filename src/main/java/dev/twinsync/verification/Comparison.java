package dev.twinsync.verification;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.merge.Observation;
import dev.twinsync.record.Field;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import org.springframework.core.env.Environment;
import org.springframework.stereotype.Component;

/**
 * Compares what the systems hold with what they are known to hold, system by system and at last the golden records, in
 * sets: rows page by page by their digests, an API by its buckets, its listing or one by one. What differs is looked at.
 */
@Component
class Comparison {

    private static final int READS = 100;
    private static final int GOLDEN_PAGE = 5000;

    /** Of an API's digests, as the contract has them. */
    static final int BUCKETS = 1024;

    private static final int BUCKETS_A_STEP = 16;

    /** Records changed lately that an API is asked for at a time, and those that are counted at most. */
    private static final int FEW = 100;

    private static final int MOST_COUNTED = 10_000;

    private final Runs runs;
    private final Ends ends;
    private final Looks looks;
    private final Confirmation confirmation;
    private final Settings settings;

    /** Keys seen by the pass that is under way; after a restart they are not known, and all keys are compared. */
    private final Map<String, Keys> seen = new HashMap<>();

    Comparison(Runs runs, Ends ends, Looks looks, Confirmation confirmation, Environment environment) {
        this.runs = runs;
        this.ends = ends;
        this.looks = looks;
        this.confirmation = confirmation;
        this.settings = Settings.of(environment);
    }

    /** The next step of a comparison. */
    void compare(Run run, Schema schema) {
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
        Confirmation.Quiet quiet = confirmation.quiet(schema);
        confirmation.again(run, schema, quiet);
        Instant since = run.progress.has("lately")
                ? Instant.parse(run.progress.path("lately").asText())
                : Instant.now().minusSeconds(60);
        Instant until = Instant.now().minus(quiet.time());
        if (until.isAfter(since)) {
            List<String> lately = runs.changed(run.entity, since, until, MOST_COUNTED);
            for (String system : schema.systems()) {
                // the gentle sweep must not cost an API more than a few calls at a time
                int most = Math.min(lately.size(), ends.isTable(system, schema) ? Looks.SET : FEW);
                looks.examine(run, schema, system, lately.subList(0, most), Looks.Before.NONE);
                run.tell("lately_" + system, most);
                run.tell("lately_left_to_the_sweep_" + system, lately.size() - most);
            }
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
        List<String> ids = run.ids.subList(from, Math.min(run.ids.size(), from + Looks.SET));
        looks.examine(run, schema, system, ids, Looks.Before.NONE);
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
        looks.examine(run, schema, system, runs.differing(run.entity, system, page), Looks.Before.NONE);
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
            looks.examine(
                    run,
                    schema,
                    system,
                    ids.stream().filter(id -> !there.containsKey(id)).toList(),
                    Looks.Before.NONE);
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
            Set<Integer> all = new TreeSet<>(there.keySet());
            all.addAll(here.keySet());
            ArrayNode open = run.progress.putArray("buckets");
            for (Integer bucket : all) {
                if (!Objects.equals(there.get(bucket), here.get(bucket))) {
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
        List<Map<String, String>> there = ends.ofBuckets(system, schema, some);
        if (there == null) {
            throw new IllegalStateException("the digests of " + system + " are gone");
        }
        there.forEach(bucket -> bucket.forEach((id, digest) -> {
            if (schema.refuseId(id) != null) {
                skipped(run, system, 1);
            } else if (!digest.equals(here.get(id))) {
                suspects.add(id);
            }
            listed.add(id);
        }));
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
        looks.judged(run, schema, system, differing);
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
            looks.examine(run, schema, system, ids, Looks.Before.NONE);
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
}
