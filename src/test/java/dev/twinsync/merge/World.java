package dev.twinsync.merge;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.twinsync.record.Json;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;

/**
 * Two or three systems, one record, and a schedule that means them harm: systems edit with skewed, coarse or backdated
 * clocks and some of them render what they are told; readings are taken and arrive late, twice and in any order; writes,
 * answers and the service are lost between any two steps. The merge and the base transitions are the product's own.
 */
class World {

    private static final Instant START = Instant.parse("2026-01-01T00:00:00Z");
    private static final List<String> STAGES = List.of("pending_payment", "paid", "shipped", "delivered", "completed");

    final Random random;

    /** A backend whose record times go back can't be told from an old push that is late: it has no business pushing. */
    private final boolean pushes;

    final TestSchema schema;
    final Map<String, Sys> systems = new LinkedHashMap<>();
    private final Map<String, Base> bases = new HashMap<>();
    private final Map<String, Integer> changed = new LinkedHashMap<>();
    private final List<Observation> observed = new ArrayList<>();
    private final List<Flight> flight = new ArrayList<>();
    private final Set<String> dirty = new HashSet<>();
    private Golden golden = Golden.none("1");
    private long tick;
    private long micros = 100_000_000;
    private int number;

    /** Values that stand at a system and that nobody has overwritten: overwriting one unseen is a loss. */
    private final Map<String, JsonNode> standing = new HashMap<>();

    private final Set<String> entered = new HashSet<>();
    private final Set<String> conflicts = new HashSet<>();
    private final Set<String> stated = new HashSet<>();
    final List<String> broken = new ArrayList<>();
    int edits;
    int writes;
    int damages;

    static final class Sys {
        final String name;
        final long skew;
        final boolean coarse;
        final boolean lossy;
        final Map<String, JsonNode> row = new HashMap<>();
        private final Set<Long> had = new HashSet<>(Set.of(0L));
        long at;

        Sys(String name, long skew, boolean coarse, boolean lossy) {
            this.name = name;
            this.skew = skew;
            this.coarse = coarse;
            this.lossy = lossy;
            row.put("a", TextNode.valueOf("a0"));
            row.put("b", TextNode.valueOf("b0"));
            row.put("status", TextNode.valueOf("pending_payment"));
        }

        JsonNode render(String path, JsonNode value) {
            if (!lossy || !path.equals("b") || value == null || value.isNull()) {
                return value;
            }
            String text = value.asText();
            return TextNode.valueOf(text.substring(0, Math.min(6, text.length())));
        }

        long stamp(long now) {
            long t = now + skew;
            return coarse ? t / 1_000_000 * 1_000_000 : t;
        }

        /** It may stay, or be set back, but no guard can tell a time that has come back from one that never left. */
        void at(long time) {
            while (time != at && had.contains(time)) {
                time += coarse ? 1_000_000 : 1;
            }
            had.add(time);
            at = time;
        }
    }

    private sealed interface Flight {
        String system();
    }

    private record Look(String system, Map<String, JsonNode> row, long at, Ticks ticks, boolean repair)
            implements Flight {}

    private record Write(String system, Map<String, JsonNode> values, Base base, long version, long began)
            implements Flight {}

    private record Push(String system, String path, JsonNode value, long at) implements Flight {}

    private record Answer(
            String system,
            Map<String, JsonNode> values,
            Map<String, JsonNode> row,
            long at,
            Base base,
            long version,
            long began)
            implements Flight {}

    World(long seed, int size) {
        random = new Random(seed);
        pushes = random.nextBoolean();
        List<String> names = List.of("app", "mini", "h5").subList(0, size);
        schema = new TestSchema(names);
        for (String name : names) {
            long skew = List.of(0L, 0L, -30_000_000L, 30_000_000L).get(random.nextInt(4));
            systems.put(name, new Sys(name, skew, random.nextInt(10) < 3, random.nextInt(10) < 3));
            systems.get(name).row.forEach((path, value) -> stated.add(path + value));
            dirty.add(name);
            changed.put(name, 0);
            bases.put(name, Base.unknown(name).doubted(-1));
        }
    }

    private static Instant instant(long micros) {
        return START.plusNanos(micros * 1000);
    }

    private static String position(long at) {
        return instant(at).toString();
    }

    private void look(Sys s) {
        look(s, false);
    }

    private void look(Sys s, boolean repair) {
        long began = tick - (random.nextInt(3) == 0 ? 2 : 0);
        tick += random.nextInt(3) == 0 ? 3 : 1;
        flight.add(new Look(s.name, new HashMap<>(s.row), s.at, new Ticks(began, tick), repair));
    }

    private void doubt(String name) {
        Base b = bases.get(name);
        bases.put(name, b.doubted(tick).at(b.revision() + 1));
    }

    private boolean due(String name) {
        return Due.is(schema, golden, bases.get(name));
    }

    private void merge(Observation o) {
        Map<String, JsonNode> values = schema.normalise(o.data(), true).values();
        Base was = bases.get(o.system());
        Merge.Result result = Merge.merge(schema, golden, bases, o, values, Set.of(), tick);
        if (result.golden().version() < golden.version()) {
            broken.add("the version went back");
        }
        if (o.kind() == Observation.Kind.REPAIR
                && Objects.equals(was.position(), o.position())
                && !result.moves().isEmpty()) {
            broken.add("damage was taken for an edit");
        }
        result.moves().forEach((path, move) -> {
            if (path.equals("status")) {
                if (move.from() != null && rank(move.to()) < rank(move.from())) {
                    broken.add("the status went back from " + move.from() + " to " + move.to());
                }
            }
            if (move.to() == null) {
                return;
            }
            // nobody can tell from an edit: a rendering whose write was never answered, or that was first read after
            // the system had edited another field; two systems may render the same value so
            Sys at = systems.get(o.system());
            Set<JsonNode> told = new HashSet<>(was.intents().getOrDefault(path, List.of()));
            if (was.sent().containsKey(path) && !Objects.equals(was.wrote(), o.position())) {
                told.add(was.sent().get(path));
            }
            boolean unanswered = told.stream().anyMatch(value -> Objects.equals(at.render(path, value), move.to()));
            boolean rendered = unanswered && !told.contains(move.to());
            boolean again = !entered.add(path + move.to());
            if (again
                    && !rendered
                    && !path.equals("status")
                    && !move.to().asText().endsWith("0")) {
                broken.add("flip-flop: " + path + " became " + move.to() + " twice");
            }
            if (!path.equals("deleted") && !stated.contains(path + move.to()) && !unanswered) {
                broken.add("nobody has stated " + path + " " + move.to());
            }
        });
        if (was.doubt()
                && !result.bases().get(o.system()).doubt()
                && (o.ticks() == null || o.ticks().began() <= was.doubtAt())) {
            broken.add("a doubt was settled by what had been read before it");
        }
        result.conflicts().forEach(c -> conflicts.add(c.path() + c.losing()));
        // an edit under an old position can't be told from damage: it is kept, as damage is
        result.mended().forEach((path, move) -> conflicts.add(path + move.from()));
        golden = result.golden();
        result.touched().forEach(name -> {
            Base b = result.bases().get(name);
            bases.put(name, b.at(b.revision() + 1));
        });
        systems.keySet().stream().filter(this::due).forEach(name -> changed.merge(name, 1, Integer::sum));
    }

    private static int rank(JsonNode status) {
        return TestSchema.ORDER.rank(status.asText());
    }

    private void deliver(String name) {
        Base b = bases.get(name);
        if (!due(name)) {
            return;
        }
        if (b.doubt()) {
            look(systems.get(name));
            return;
        }
        Map<String, JsonNode> values = new HashMap<>();
        Due.paths(schema, golden, b).forEach(path -> values.put(path, golden.value(path)));
        Base intended = Writes.intended(b, values).at(b.revision() + 1);
        bases.put(name, intended);
        flight.add(new Write(name, values, intended, golden.version(), tick));
    }

    private void write(Write w) {
        Sys s = systems.get(w.system());
        // the app is compared row by row under a lock, an API by its guard alone
        boolean same = position(s.at).equals(w.base().position())
                && (!s.name.equals("app") || s.row.equals(w.base().held()));
        if (!same) {
            doubt(s.name);
            look(s);
            return;
        }
        w.values().forEach((path, value) -> {
            JsonNode was = standing.remove(s.name + path);
            boolean blind = s.coarse && !s.name.equals("app");
            if (was != null
                    && !path.equals("status")
                    && !blind
                    && !entered.contains(path + was)
                    && !conflicts.contains(path + was)) {
                broken.add("lost unseen at " + s.name + ": " + path + " " + was);
            }
            if (value == null) {
                s.row.remove(path);
            } else {
                s.row.put(path, s.render(path, value));
            }
        });
        s.at(Math.max(s.stamp(micros), s.at + (s.coarse ? 1_000_000 : 1)));
        writes++;
        dirty.add(s.name);
        flight.add(new Answer(s.name, w.values(), new HashMap<>(s.row), s.at, w.base(), w.version(), w.began()));
    }

    private void answer(Answer a) {
        Base now = bases.get(a.system());
        if (now.revision() != a.base().revision()) {
            doubt(a.system());
            return;
        }
        Ticks ticks = new Ticks(a.began(), tick);
        Base after = a.system().equals("app")
                ? Writes.answered(now, a.values(), a.row(), Set.of(), position(a.at()), ticks, a.version())
                : Writes.answered(now, a.values(), position(a.at()), ticks, a.version());
        bases.put(a.system(), after.at(now.revision() + 1));
    }

    private void land(int i) {
        Flight f = flight.remove(i);
        tick++;
        if (f instanceof Look l) {
            var data = Json.MAPPER.createObjectNode();
            l.row().forEach(data::set);
            Observation reading = new Observation(
                    l.repair() ? Observation.Kind.REPAIR : Observation.Kind.READING,
                    "thing",
                    "1",
                    l.system(),
                    true,
                    data,
                    position(l.at()),
                    l.ticks(),
                    instant(l.at() - systems.get(l.system()).skew),
                    instant(micros),
                    "e",
                    null);
            if (!echoed(reading)) {
                observed.add(reading);
            }
        } else if (f instanceof Push p) {
            var data = Json.MAPPER.createObjectNode();
            data.set(p.path(), p.value());
            observed.add(new Observation(
                    Observation.Kind.PUSH,
                    "thing",
                    "1",
                    p.system(),
                    true,
                    data,
                    position(p.at()),
                    null,
                    instant(p.at() - systems.get(p.system()).skew),
                    instant(micros),
                    "e",
                    null));
        } else if (f instanceof Write w) {
            write(w);
        } else {
            answer((Answer) f);
        }
    }

    /** What is seen to be an echo as it is read is not merged; the store's clock may yet let one through. */
    private boolean echoed(Observation reading) {
        Base now = bases.get(reading.system());
        Map<String, JsonNode> row = schema.normalise(reading.data(), true).values();
        Base left = row.equals(now.held()) && random.nextInt(4) > 0 ? Echo.of(now, reading, golden.version()) : null;
        if (left != null) {
            bases.put(reading.system(), left.at(now.revision() + 1));
        }
        return left != null;
    }

    private void edit() {
        List<Sys> all = List.copyOf(systems.values());
        Sys s = all.get(random.nextInt(all.size()));
        number++;
        String path = random.nextInt(10) < 8 ? (random.nextBoolean() ? "a" : "b") : "status";
        JsonNode value;
        if (path.equals("status")) {
            int stage = STAGES.indexOf(s.row.get("status").asText());
            if (stage == STAGES.size() - 1) {
                return;
            }
            value = TextNode.valueOf(STAGES.get(stage + 1));
        } else {
            value = s.render(path, TextNode.valueOf(path + number + s.name + "xyz"));
        }
        edits++;
        stated.add(path + value);
        standing.put(s.name + path, value);
        s.row.put(path, value);
        s.at(s.stamp(micros - (!pushes && random.nextInt(4) == 0 ? 1_500_000 : 0)));
        dirty.add(s.name);
        if (pushes && !s.coarse && random.nextInt(3) == 0) {
            // some backends also say at once what they changed
            flight.add(new Push(s.name, path, value, s.at));
            land(flight.size() - 1);
        }
    }

    private void step(boolean editing) {
        micros += random.nextInt(500_000);
        List<Runnable> acts = new ArrayList<>();
        if (editing) {
            add(acts, 3, this::edit);
            if (random.nextInt(10) == 0) {
                add(acts, 1, this::crash);
                add(acts, 1, () -> look(pick(List.copyOf(systems.values()))));
            }
        }
        if (!dirty.isEmpty()) {
            add(acts, 2, () -> {
                String name = pick(dirty.stream().sorted().toList());
                look(systems.get(name));
                dirty.remove(name);
            });
        }
        if (!flight.isEmpty()) {
            add(acts, 4, () -> land(random.nextInt(flight.size())));
        }
        if (!observed.isEmpty()) {
            add(acts, 3, () -> merge(observed.remove(random.nextInt(8) == 0 ? random.nextInt(observed.size()) : 0)));
        }
        if (changed.values().stream().anyMatch(n -> n > 0)) {
            add(acts, 3, () -> {
                String name = pick(changed.entrySet().stream()
                        .filter(e -> e.getValue() > 0)
                        .map(Map.Entry::getKey)
                        .toList());
                // per key in order: one write at a time
                if (flight.stream()
                        .noneMatch(f -> !(f instanceof Look) && f.system().equals(name))) {
                    changed.merge(name, -1, Integer::sum);
                    deliver(name);
                }
            });
        }
        add(acts, 1, () -> systems.keySet().stream()
                .filter(name -> due(name) && changed.get(name) == 0)
                .forEach(name -> changed.put(name, 1)));
        pick(acts).run();
    }

    private void crash() {
        flight.stream().filter(f -> f instanceof Write || f instanceof Answer).forEach(f -> dirty.add(f.system()));
        flight.removeIf(f -> f instanceof Write || f instanceof Answer);
    }

    private static void add(List<Runnable> acts, int weight, Runnable act) {
        for (int i = 0; i < weight; i++) {
            acts.add(act);
        }
    }

    private <T> T pick(List<T> list) {
        return list.get(random.nextInt(list.size()));
    }

    private boolean quiet() {
        return dirty.isEmpty()
                && flight.isEmpty()
                && observed.isEmpty()
                && changed.values().stream().noneMatch(n -> n > 0)
                && systems.keySet().stream().noneMatch(this::due);
    }

    /** Somebody changes a record by hand: neither its time nor anything else tells of it. */
    private void damage(Sys s) {
        String path = pick(List.of("a", "b", "status"));
        number++;
        JsonNode value = path.equals("status")
                ? TextNode.valueOf(STAGES.get(random.nextInt(STAGES.size())))
                : TextNode.valueOf(path + number + "hand");
        value = s.render(path, value);
        if (path.equals("status") && rank(value) > rank(s.row.get(path))) {
            return;
        }
        // where it is read for another reason it can't be told from an edit
        stated.add(path + value);
        standing.remove(s.name + path);
        s.row.put(path, value);
        damages++;
    }

    /** A schedule, and then another in which records are damaged and verification mends them while all goes on. */
    World damaged() {
        run();
        for (int i = 0; i < 150 && broken.isEmpty(); i++) {
            Sys s = pick(List.copyOf(systems.values()));
            int act = random.nextInt(12);
            if (act == 0) {
                damage(s);
            } else if (act == 1) {
                look(s, true);
            } else {
                step(true);
            }
        }
        for (int round = 0; round < 50 && broken.isEmpty(); round++) {
            settle();
            if (round < 5) {
                // where all was quiet it stays unseen until it is verified
                damage(pick(List.copyOf(systems.values())));
            }
            boolean equal = round >= 5;
            for (Sys s : systems.values()) {
                if (!s.row.equals(bases.get(s.name).held())) {
                    equal = false;
                    look(s, true);
                }
            }
            if (equal) {
                check();
                return this;
            }
        }
        if (broken.isEmpty()) {
            broken.add("never mended");
        }
        return this;
    }

    /** Runs a schedule and then until all is quiet; what broke is in {@link #broken}. */
    World run() {
        int length = 20 + random.nextInt(180);
        for (int i = 0; i < length; i++) {
            step(true);
        }
        settle();
        if (broken.contains("never quiet")) {
            return this;
        }
        check();
        return this;
    }

    private void settle() {
        for (int i = 0; i < 20_000 && !quiet(); i++) {
            step(false);
        }
        if (!quiet()) {
            broken.add("never quiet");
        }
    }

    private void check() {
        for (Sys s : systems.values()) {
            golden.fields().forEach((path, state) -> {
                if (path.equals("deleted")) {
                    return;
                }
                JsonNode shown = s.row.get(path);
                boolean altered = Due.altered(bases.get(s.name)).contains(path);
                if (!Objects.equals(shown, state.value()) && !altered) {
                    broken.add(s.name + "." + path + " is " + shown + ", golden is " + state.value());
                }
            });
        }
    }
}
