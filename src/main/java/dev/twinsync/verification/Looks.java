package dev.twinsync.verification;

import dev.twinsync.merge.Observation;
import dev.twinsync.record.Schema;
import dev.twinsync.state.Records;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.springframework.core.env.Environment;
import org.springframework.stereotype.Component;

/** Looks at records of a system, judges what is seen, and keeps what is not equal with its run. */
@Component
class Looks {

    /** Records that are looked at together. */
    static final int SET = 500;

    /**
     * What was seen of records at the look before.
     *
     * @param stuck whether what is on its way has not arrived since, see {@link Confirmation.Quiet}
     */
    record Before(Map<String, Runs.Difference> known, boolean stuck) {

        /** A first look. */
        static final Before NONE = new Before(Map.of(), false);
    }

    private final Records records;
    private final Runs runs;
    private final Ends ends;
    private final Settings settings;

    Looks(Records records, Runs runs, Ends ends, Environment environment) {
        this.records = records;
        this.runs = runs;
        this.ends = ends;
        this.settings = Settings.of(environment);
    }

    /** Looks at records and keeps what is not equal. */
    void examine(Run run, Schema schema, String system, List<String> ids, Before before) {
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
            settle(run, schema, system, snapshots, List.copyOf(looks.values()), before);
        }
    }

    /** What was listed is judged by what is known by now; should that be newer, the next look will tell. */
    void judged(Run run, Schema schema, String system, List<Observation> looks) {
        for (int i = 0; i < looks.size(); i += SET) {
            List<Observation> set = looks.subList(i, Math.min(looks.size(), i + SET));
            Map<String, Records.Snapshot> snapshots =
                    records.load(run.entity, set.stream().map(Observation::id).toList());
            settle(run, schema, system, snapshots, set, Before.NONE);
        }
    }

    /** Reads by key, or by listing the stretch between the first and the last key where its pages hold many of them. */
    Map<String, Observation> look(Run run, Schema schema, String system, List<String> ids) {
        if (ends.isTable(system, schema) || ids.size() < 3) {
            return ends.look(system, schema, ids);
        }
        List<String> sorted = ids.stream().sorted(Looks::byBytes).toList();
        String last = sorted.get(sorted.size() - 1);
        long pages = runs.between(run.entity, system, sorted.get(0), last) / settings.miniPage() + 2;
        if (pages * worth() > ids.size()) {
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

    /**
     * How many reads a page of a listing is worth: where calls are scarce it saves them, else all its records cost more to
     * make and to read than those that are wanted.
     */
    private double worth() {
        return Math.max(10, Math.min(settings.miniCallsPerSecond() / 50, settings.miniPage() / 10.0));
    }

    private static int byBytes(String one, String other) {
        return Arrays.compareUnsigned(one.getBytes(StandardCharsets.UTF_8), other.getBytes(StandardCharsets.UTF_8));
    }

    private void settle(
            Run run,
            Schema schema,
            String system,
            Map<String, Records.Snapshot> snapshots,
            List<Observation> looks,
            Before at) {
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
            Runs.Difference before = at.known().get(look.id());
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
                    boolean stuck = quiet && at.stuck() && verdict.mayBeOnItsWay();
                    String state = stuck || !quiet && rounds > settings.rounds()
                            ? "unverified"
                            : quiet ? "confirmed" : "candidate";
                    if (state.equals("unverified")) {
                        run.unverified++;
                        run.tell(stuck ? "on_its_way" : "never_quiet", 1);
                    }
                    String decision = state.equals("confirmed") ? decision(run, verdict) : null;
                    seen.add(new Runs.Seen(look.id(), verdict, look, state, decision));
                }
            }
        }
        runs.remember(run.entity, system, equal, revisions);
        if (!at.known().isEmpty()) {
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
}
