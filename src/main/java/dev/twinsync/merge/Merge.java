package dev.twinsync.merge;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.NullNode;
import dev.twinsync.merge.Golden.FieldState;
import dev.twinsync.record.Field;
import dev.twinsync.record.Overlay;
import dev.twinsync.record.Rule;
import dev.twinsync.record.Schema;
import dev.twinsync.record.StatusFlow;
import dev.twinsync.record.Times;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The one place where truth is decided, a pure function of golden record, bases, observation and rules.
 *
 * <p>A reading that began after all that its base knows is the truth about its system and settles any doubt; one that
 * ended before says nothing; one that overlaps and differs puts the base in doubt. What is left after taking away what
 * the base held, what we sent without knowing the outcome, and how a system rendered what we sent, is an edit, and each
 * field's rule says whether the golden record takes it. A push changes golden fields and never a base. A repair is a
 * reading that shows damage: it becomes the base and changes no golden field, but the record gets a new version, so
 * that its values are delivered over the damage.
 */
public final class Merge {

    /** The name under which a person's decisions are merged; such an edit has seen everything. */
    public static final String OPERATOR = "operator";

    static final String DEFAULT = "default";

    private Merge() {}

    /** What became of an observation as a whole. */
    public enum Outcome {
        MERGED,
        UNCHANGED,
        STALE,
        DOUBTED
    }

    /**
     * @param golden the golden record after it
     * @param bases the bases after it, by system
     * @param touched systems whose base was replaced
     * @param moves path to what changed in the golden record
     * @param conflicts values that a rule did not take
     * @param stale paths whose value was an earlier stage: nothing changed
     * @param mended path to what a repair found there and what is stated again
     */
    public record Result(
            Golden golden,
            Map<String, Base> bases,
            Set<String> touched,
            Map<String, Move> moves,
            List<Conflict> conflicts,
            List<String> stale,
            Map<String, Move> mended,
            Outcome outcome) {}

    /** @param from may be null; {@code to} may be null */
    public record Move(JsonNode from, JsonNode to, Rule rule) {}

    /** @param system whose value lost; {@code fieldVersion} is that of the standing value */
    public record Conflict(
            String path,
            String system,
            JsonNode losing,
            JsonNode winning,
            String winner,
            Rule rule,
            long fieldVersion) {}

    /**
     * Merges one observation.
     *
     * @param stated the observation's usable values in normal form; of a push, a NullNode clears
     * @param unusable fields of a reading that could not be put into normal form
     * @param tick the present tick: when a doubt arises, it arises now
     */
    public static Result merge(
            Schema schema,
            Golden golden,
            Map<String, Base> bases,
            Observation observation,
            Map<String, JsonNode> stated,
            Set<String> unusable,
            long tick) {
        Run run = new Run(schema, golden, new HashMap<>(bases), observation, tick);
        if (observation.look()) {
            run.reading(stated, unusable);
        } else {
            run.push(stated);
        }
        return run.result();
    }

    private static final class Run {
        private final Schema schema;
        private final Golden before;
        private final Map<String, Base> bases;
        private final Observation observation;
        private final String system;
        private final long tick;
        private final Instant when;

        private final Map<String, FieldState> fields;
        private final Set<String> touched = new HashSet<>();
        private final Map<String, Move> moves = new LinkedHashMap<>();
        private final List<Conflict> conflicts = new ArrayList<>();
        private final List<String> stale = new ArrayList<>();
        private final Map<String, Move> mended = new LinkedHashMap<>();
        private Outcome outcome = Outcome.UNCHANGED;

        Run(Schema schema, Golden golden, Map<String, Base> bases, Observation observation, long tick) {
            this.schema = schema;
            this.before = golden;
            this.bases = bases;
            this.observation = observation;
            this.system = observation.system();
            this.tick = tick;
            this.fields = new HashMap<>(golden.fields());
            Instant stated = observation.changedAt();
            Instant arrived = observation.observedAt();
            // a system's clock may be ahead of what was measured: nothing was made after it arrived
            this.when = stated == null || stated.isAfter(arrived) ? arrived : stated;
        }

        Result result() {
            boolean same = moves.isEmpty() && mended.isEmpty();
            long version = same ? before.version() : before.version() + 1;
            Golden golden = same ? before : new Golden(before.id(), version, fields);
            Base base = bases.get(system);
            if (base != null
                    && touched.contains(system)
                    && base.known()
                    && !base.doubt()
                    && Due.paths(schema, golden, base).isEmpty()) {
                bases.put(system, base.seeing(version));
            }
            if (!same) {
                outcome = Outcome.MERGED;
            }
            return new Result(golden, bases, touched, moves, conflicts, stale, mended, outcome);
        }

        void reading(Map<String, JsonNode> row, Set<String> unusable) {
            Base base = bases.getOrDefault(system, Base.unknown(system));
            Ticks ticks = observation.ticks();
            if (observation.kind() == Observation.Kind.REPAIR && !moved(base)) {
                repair(base, row, unusable);
                return;
            }
            if (!base.known() || ticks.began() > base.ticks().ended()) {
                fresh(base, row, unusable, ticks.began() > base.doubtAt());
            } else if (ticks.ended() < base.ticks().began()) {
                outcome = Outcome.STALE;
            } else if (!sameRow(base, row, unusable)) {
                put(base.doubted(tick));
                outcome = Outcome.DOUBTED;
            } else if (base.wrote() != null && base.wrote().equals(observation.position())) {
                // begun before our write was answered, and yet it shows what became of it: just what was sent
                put(base.shown(base.ticks()));
            }
        }

        /** Whether the system has changed the record since the base was known: then what it shows is an edit. */
        private boolean moved(Base base) {
            return observation.exists() && !java.util.Objects.equals(base.position(), observation.position());
        }

        /**
         * Takes the damaged record for what the system holds, and none of its values for an edit. Anything that has
         * happened since it was looked at wins: then nothing is done, and the next look will tell.
         */
        private void repair(Base base, Map<String, JsonNode> row, Set<String> unusable) {
            boolean answered = base.wrote() != null && base.wrote().equals(observation.position());
            if (before.version() == 0
                    || !base.known()
                    || base.doubt()
                    || answered
                    || observation.ticks().began() <= base.ticks().ended()) {
                outcome = Outcome.STALE;
                return;
            }
            Map<String, JsonNode> held = new HashMap<>();
            Map<String, JsonNode> sent = new HashMap<>(observation.exists() ? base.sent() : Map.of());
            for (String path : union(row.keySet(), base.held().keySet())) {
                if (schema.field(path) == null) {
                    continue;
                }
                boolean readable = !unusable.contains(Due.name(path));
                JsonNode was = base.held().get(path);
                JsonNode value = !observation.exists() ? null : readable ? row.get(path) : was;
                if (value != null) {
                    held.put(path, value);
                }
                if (!Due.same(value, was)) {
                    // what is shown instead of a value that was sent is no rendering of it any more
                    sent.remove(path);
                    mend(path, value);
                }
            }
            Base found = new Base(
                    system,
                    true,
                    observation.exists(),
                    held,
                    unusable,
                    observation.position(),
                    observation.ticks(),
                    false,
                    base.doubtAt(),
                    base.intents(),
                    sent,
                    base.stated(),
                    null,
                    base.seen(),
                    base.revision());
            Due.paths(schema, before, found).forEach(path -> mend(path, held.get(path)));
            put(found);
        }

        private void mend(String path, JsonNode found) {
            mended.putIfAbsent(
                    path, new Move(found, before.value(path), schema.field(path).rule()));
        }

        private boolean sameRow(Base base, Map<String, JsonNode> row, Set<String> unusable) {
            if (base.exists() != observation.exists()) {
                return false;
            }
            for (String path : union(row.keySet(), base.held().keySet())) {
                if (!unusable.contains(Due.name(path))
                        && !Due.same(row.get(path), base.held().get(path))) {
                    return false;
                }
            }
            return true;
        }

        private void fresh(Base base, Map<String, JsonNode> row, Set<String> unusable, boolean settles) {
            Map<String, JsonNode> edits = new LinkedHashMap<>();
            Map<String, JsonNode> held = new HashMap<>();
            Set<String> otherwise = new HashSet<>();
            if (observation.exists()) {
                boolean ours = base.wrote() != null && base.wrote().equals(observation.position());
                for (String path : union(row.keySet(), base.held().keySet())) {
                    if (schema.field(path) == null) {
                        continue;
                    }
                    if (unusable.contains(Due.name(path))) {
                        // what can't be read is no edit: the base keeps what it last understood
                        if (base.held().get(path) != null) {
                            held.put(path, base.held().get(path));
                        }
                        continue;
                    }
                    JsonNode value = row.get(path);
                    JsonNode was = base.held().get(path);
                    if (!settles && base.stated().containsKey(path)) {
                        // read before the push arrived, so perhaps older than what it states: it says nothing here
                        if (was != null) {
                            held.put(path, was);
                        }
                        continue;
                    }
                    if (value != null) {
                        held.put(path, value);
                    }
                    boolean echo = Due.same(value, was);
                    boolean intended = intended(base, path, value);
                    // by a time as coarse as a second a later write of ours looks like the one before it
                    boolean rendering = ours && base.sent().containsKey(path) && !intended;
                    if (!echo && !rendering) {
                        otherwise.add(path);
                    }
                    // not being deleted is no news from a system that is looked at for the first time
                    boolean alive = !base.known()
                            && before.version() > 0
                            && schema.field(path).rule() == Rule.STICKY
                            && value != null
                            && !value.asBoolean();
                    if (alive) {
                        continue;
                    }
                    boolean pushed = base.stated().containsKey(path)
                            && Due.same(base.stated().get(path).value(), value);
                    if (!echo && !rendering && !pushed && !intended) {
                        edits.put(path, value == null ? NullNode.getInstance() : value);
                    }
                }
            } else if (base.known() && base.exists() && !deleted(base.held())) {
                // only a record that a base held is believed deleted
                edits.put("deleted", com.fasterxml.jackson.databind.node.BooleanNode.TRUE);
            }
            // taking uses them up, and they are asked for below
            take(new LinkedHashMap<>(edits), base, true);

            Map<String, JsonNode> sent = new HashMap<>(base.sent());
            // what is shown now is no rendering of what was sent before: an edit, or a later write of ours
            sent.keySet().removeAll(otherwise);
            sent.entrySet().removeIf(e -> !observation.exists() || Due.same(e.getValue(), held.get(e.getKey())));
            // a write that may still be under way carries the old position as its guard: once the position has moved
            // it can no longer take effect, and its values are the system's own again
            boolean moved = settles && !java.util.Objects.equals(base.position(), observation.position());
            put(new Base(
                    system,
                    true,
                    observation.exists(),
                    // the same map says that nothing in it has changed: the store need not write it again
                    held.equals(base.held()) ? base.held() : held,
                    unusable,
                    observation.position(),
                    observation.ticks(),
                    base.doubt() && !settles,
                    base.doubtAt(),
                    moved ? Map.of() : base.intents(),
                    sent,
                    moved ? Map.of() : base.stated(),
                    null,
                    base.seen(),
                    base.revision()));
        }

        void push(Map<String, JsonNode> stated) {
            if (system.equals(OPERATOR)) {
                take(new LinkedHashMap<>(stated), Base.unknown(OPERATOR), false);
                return;
            }
            Base base = bases.getOrDefault(system, Base.unknown(system));
            Map<String, JsonNode> values = new LinkedHashMap<>();
            Map<String, Base.Stated> said = new HashMap<>(base.stated());
            boolean news = !base.known();
            for (Map.Entry<String, JsonNode> entry : stated.entrySet()) {
                String path = entry.getKey();
                JsonNode value = Overlay.apply(before.value(path), entry.getValue(), schema.field(path));
                news |= !Due.same(value, base.held().get(path)) || !Due.same(value, before.value(path));
                values.put(path, value == null ? NullNode.getInstance() : value);
            }
            if (!news) {
                return;
            }
            if (late(base)) {
                outcome = Outcome.STALE;
            } else {
                Map<String, JsonNode> edits = new LinkedHashMap<>();
                values.forEach((path, value) -> {
                    FieldState golden = before.fields().get(path);
                    boolean own = golden != null && system.equals(golden.system());
                    // what the system is known to hold is restated, not edited, unless it has itself said otherwise
                    // since
                    boolean restated =
                            base.known() && Due.same(value, base.held().get(path)) && !own;
                    Base.Stated last = said.get(path);
                    boolean overtaken = overtaken(golden, own, base, last);
                    if (!restated && !overtaken && !intended(base, path, value)) {
                        edits.put(path, value);
                    }
                });
                edits.forEach((path, value) -> said.put(path, new Base.Stated(value, when)));
                take(edits, base, false);
            }
            put(base.stating(Map.copyOf(said)).doubted(tick));
            if (moves.isEmpty() && outcome == Outcome.UNCHANGED) {
                outcome = Outcome.DOUBTED;
            }
        }

        /**
         * Whether a push was overtaken by a later one of its own system: it is read for, not merged. One without a time
         * that arrived before what its system has seen since was merged before, and Kafka gives it once more.
         */
        private boolean overtaken(FieldState golden, boolean own, Base base, Base.Stated last) {
            if (observation.changedAt() == null) {
                boolean seen = golden != null && (own || golden.version() <= base.seen());
                return seen && when.isBefore(golden.time()) || last != null && when.isBefore(last.at());
            }
            return own && !when.isAfter(golden.time()) || last != null && !when.isAfter(last.at());
        }

        /** Whether a push is no newer than what its system is known to hold. */
        private boolean late(Base base) {
            Instant said = instant(observation.position());
            Instant known = instant(base.position());
            return said != null && known != null && !said.isAfter(known);
        }

        private static boolean intended(Base base, String path, JsonNode value) {
            for (JsonNode intent : base.intents().getOrDefault(path, List.of())) {
                if (Due.same(intent, value)) {
                    return true;
                }
            }
            return false;
        }

        /** Puts edits into the golden record, each as far as its rule lets it. */
        private void take(Map<String, JsonNode> edits, Base base, boolean reading) {
            boolean made = before.version() == 0;
            if (made && (edits.isEmpty() || !observation.exists())) {
                return;
            }
            JsonNode deleted = edits.remove("deleted");
            if (deleted != null) {
                take("deleted", deleted, base, reading);
            }
            FieldState tomb = fields.get("deleted");
            boolean buried = !made
                    && tomb != null
                    && tomb.value() != null
                    && tomb.value().asBoolean();
            for (Map.Entry<String, JsonNode> edit : edits.entrySet()) {
                if (buried && !system.equals(tomb.system()) && !system.equals(OPERATOR)) {
                    FieldState golden = fields.get(edit.getKey());
                    if (!Due.same(edit.getValue(), golden == null ? null : golden.value())) {
                        lost(edit.getKey(), edit.getValue(), golden, Rule.STICKY);
                    }
                } else {
                    take(edit.getKey(), edit.getValue(), base, reading);
                }
            }
            if (made && !moves.isEmpty()) {
                defaults();
            }
        }

        private void defaults() {
            for (Field field : schema.fields()) {
                JsonNode value = field.defaultsToObservedAt()
                        ? com.fasterxml.jackson.databind.node.TextNode.valueOf(Times.text(observation.observedAt()))
                        : field.defaultValue();
                if (value == null || value.isObject() || fields.containsKey(field.name())) {
                    continue;
                }
                fields.put(field.name(), new FieldState(value, 1, DEFAULT, Instant.EPOCH));
                moves.put(field.name(), new Move(null, value, field.rule()));
            }
        }

        private void take(String path, JsonNode stated, Base base, boolean reading) {
            JsonNode value = Due.nullable(stated);
            Field field = schema.field(path);
            if (field == null) {
                return;
            }
            FieldState golden = fields.get(path);
            JsonNode standing = golden == null ? null : golden.value();
            boolean operator = system.equals(OPERATOR);
            if (Due.same(value, standing)) {
                if (operator && golden != null && unusable(path)) {
                    // what is true already is stated anew for the system that holds what nobody can read
                    put(path, value, golden, field.rule());
                }
                return;
            }
            boolean unset = golden == null || golden.system().equals(DEFAULT);
            boolean seen = operator
                    || unset
                    || golden.version() <= base.seen()
                    || golden.system().equals(system);
            Rule rule = field.rule();
            if (rule == Rule.NEWEST && !field.newestWhile().isEmpty() && before.version() > 0 && !condition(field)) {
                rule = Rule.FIRST;
            }
            switch (rule) {
                case NEWEST -> newest(path, value, golden, seen, rule);
                case OWNER -> {
                    if (seen) {
                        put(path, value, golden, rule);
                    } else if (system.equals(field.owner())) {
                        lostTo(path, value, golden, rule);
                    } else if (golden.system().equals(field.owner())) {
                        lost(path, value, golden, rule);
                    } else {
                        newest(path, value, golden, false, rule);
                    }
                }
                case FIRST -> {
                    if (unset || standing == null || operator) {
                        put(path, value, golden, rule);
                    } else if (!seen && value != null && precedes(system, golden.system())) {
                        lostTo(path, value, golden, rule);
                    } else {
                        lost(path, value, golden, rule);
                    }
                }
                case STICKY -> {
                    boolean sets = value != null && value.asBoolean();
                    boolean stuck = standing != null && standing.asBoolean();
                    if (sets || !stuck || operator || golden.system().equals(system)) {
                        put(path, value, golden, rule);
                    } else {
                        lost(path, value, golden, rule);
                    }
                }
                case FORWARD -> {
                    if (operator && value != null) {
                        // what a person sets, a restored value or an undone repair, is bound by no rule
                        put(path, value, golden, rule);
                    } else {
                        forward(path, value, golden, field.flow(), base, reading, seen);
                    }
                }
                default -> throw new IllegalStateException("no such rule: " + rule);
            }
        }

        private boolean unusable(String path) {
            return bases.values().stream()
                    .anyMatch(base -> base.exists() && base.unusable().contains(Due.name(path)));
        }

        private boolean condition(Field field) {
            return field.newestWhile().entrySet().stream()
                    .allMatch(e -> Due.same(before.value(e.getKey()), e.getValue()));
        }

        private void newest(String path, JsonNode value, FieldState golden, boolean seen, Rule rule) {
            if (seen) {
                put(path, value, golden, rule);
                return;
            }
            int order = when.compareTo(golden.time());
            if (order > 0 || order == 0 && precedes(system, golden.system())) {
                lostTo(path, value, golden, rule);
            } else {
                lost(path, value, golden, rule);
            }
        }

        private void forward(
                String path,
                JsonNode value,
                FieldState golden,
                StatusFlow flow,
                Base base,
                boolean reading,
                boolean seen) {
            if (value == null) {
                lost(path, null, golden, Rule.FORWARD);
                return;
            }
            if (golden == null || golden.value() == null) {
                put(path, value, golden, Rule.FORWARD);
                return;
            }
            String to = value.asText();
            String standing = golden.value().asText();
            boolean own = golden.system().equals(system);
            JsonNode was = !reading && own ? golden.value() : base.held().get(path);
            if (was != null) {
                String from = was.asText();
                boolean timed = reading || observation.changedAt() != null;
                if (flow.reopens(from, to) && timed) {
                    if (seen && standing.equals(from)) {
                        put(path, value, golden, Rule.FORWARD);
                    } else if (flow.leads(to, standing)) {
                        stale.add(path);
                    } else {
                        lost(path, value, golden, Rule.FORWARD);
                    }
                    return;
                }
                if (!from.equals(to) && !flow.leads(from, to)) {
                    if (flow.leads(to, from)) {
                        stale.add(path);
                    } else {
                        lost(path, value, golden, Rule.FORWARD);
                    }
                    return;
                }
            }
            if (flow.rank(to) > flow.rank(standing)) {
                if (!seen && !flow.leads(standing, to)) {
                    lostTo(path, value, golden, Rule.FORWARD);
                } else {
                    put(path, value, golden, Rule.FORWARD);
                }
            } else if (flow.leads(to, standing)) {
                stale.add(path);
            } else {
                lost(path, value, golden, Rule.FORWARD);
            }
        }

        private void put(String path, JsonNode value, FieldState golden, Rule rule) {
            Instant time = when;
            if (golden != null && !golden.time().isBefore(time)) {
                // made with knowledge of the former value, so later than it, whatever the clock says
                time = golden.time().plusNanos(1000);
            }
            fields.put(path, new FieldState(value, before.version() + 1, system, time));
            moves.put(path, new Move(golden == null ? null : golden.value(), value, rule));
        }

        /** The new value wins over one that its system had not seen. */
        private void lostTo(String path, JsonNode value, FieldState golden, Rule rule) {
            conflicts.add(
                    new Conflict(path, golden.system(), golden.value(), value, system, rule, before.version() + 1));
            Instant time = when;
            if (rule != Rule.NEWEST && !golden.time().isBefore(time)) {
                time = golden.time().plusNanos(1000);
            }
            fields.put(path, new FieldState(value, before.version() + 1, system, time));
            moves.put(path, new Move(golden.value(), value, rule));
        }

        private void lost(String path, JsonNode value, FieldState golden, Rule rule) {
            conflicts.add(new Conflict(
                    path,
                    system,
                    Due.nullable(value),
                    golden == null ? null : golden.value(),
                    golden == null ? null : golden.system(),
                    rule,
                    golden == null ? 0 : golden.version()));
        }

        private boolean precedes(String one, String other) {
            int a = schema.systems().indexOf(one);
            int b = schema.systems().indexOf(other);
            return a >= 0 && (b < 0 || a < b);
        }

        private void put(Base base) {
            bases.put(system, base);
            touched.add(system);
        }

        private static boolean deleted(Map<String, JsonNode> values) {
            JsonNode deleted = values.get("deleted");
            return deleted != null && deleted.asBoolean();
        }

        private static Set<String> union(Set<String> a, Set<String> b) {
            Set<String> all = new java.util.LinkedHashSet<>(a);
            all.addAll(b);
            return all;
        }

        private static Instant instant(String text) {
            if (text == null) {
                return null;
            }
            try {
                return Times.read(text);
            } catch (DateTimeParseException e) {
                return null;
            }
        }
    }
}
