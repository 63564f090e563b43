package dev.twinsync.verification;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.merge.Base;
import dev.twinsync.merge.Due;
import dev.twinsync.merge.Golden;
import dev.twinsync.merge.Observation;
import dev.twinsync.record.Canonical;
import dev.twinsync.record.Field;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import dev.twinsync.state.Records;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;

/** Says of one look at one record whether it is what it should be; a pure function of what is known and what is seen. */
final class Judge {

    private Judge() {}

    enum Outcome {
        EQUAL,
        /** Something is under way: what differs now may be equal in a moment. */
        IN_FLIGHT,
        /** Required fields are not there yet: nothing can be written. */
        WAITING,
        /** The system refused the record: its dead letter is open. */
        LETTER,
        DIFFERENT
    }

    /**
     * @param kind missing, surplus, field, deleted or status_back; only of what differs
     * @param moved whether the system has changed the record since it was last known: an ordinary observation
     * @param unreadable whether a field could not be put into normal form, and so was not compared
     * @param print the same at two looks: both ends and the golden record were quiet in between
     */
    record Verdict(
            Outcome outcome,
            String kind,
            boolean moved,
            boolean unreadable,
            ArrayNode fields,
            ObjectNode changed,
            String print) {

        /** Whether capture may still bring it: a change that was not seen yet, or a record that is new or gone. */
        boolean mayBeOnItsWay() {
            return moved || kind.equals("surplus") || kind.equals("missing");
        }
    }

    static Verdict judge(Schema schema, Records.Snapshot snapshot, Observation look) {
        String system = look.system();
        Golden golden = snapshot.golden();
        Base base = snapshot.bases().getOrDefault(system, Base.unknown(system));
        Schema.Normalised normalised = schema.normalise(look.data(), true);
        Set<String> unusable = new HashSet<>();
        normalised.problems().forEach(problem -> unusable.add(problem.field()));
        Map<String, JsonNode> values = look.exists() ? normalised.values() : Map.of();
        Outcome underWay = underWay(golden, base, snapshot.delivery().get(system), look);
        if (underWay != null) {
            return new Verdict(underWay, null, false, !unusable.isEmpty(), array(), object(), "");
        }
        Set<String> paths = new TreeSet<>();
        String kind = kind(schema, golden, base, look, values, unusable, paths);
        if (kind == null) {
            return new Verdict(Outcome.EQUAL, null, false, !unusable.isEmpty(), array(), object(), "");
        }
        boolean moved = look.exists() && !Objects.equals(base.position(), look.position());
        return new Verdict(
                Outcome.DIFFERENT,
                kind,
                moved,
                !unusable.isEmpty(),
                fields(schema, snapshot, system, values, paths),
                changed(schema, snapshot, look),
                print(schema, snapshot, look));
    }

    private static Outcome underWay(Golden golden, Base base, Records.Delivery delivery, Observation look) {
        boolean due = delivery != null && delivery.dueSince() != null;
        if (due && !delivery.waitingFor().isEmpty()) {
            return Outcome.WAITING;
        }
        if (due && delivery.refused() != null && delivery.refused() == golden.version() && !base.doubt()) {
            return Outcome.LETTER;
        }
        boolean answered = base.wrote() != null && base.wrote().equals(look.position());
        return due || base.doubt() || answered ? Outcome.IN_FLIGHT : null;
    }

    /** The kind of difference, with the paths that differ; null where nothing does. */
    private static String kind(
            Schema schema,
            Golden golden,
            Base base,
            Observation look,
            Map<String, JsonNode> values,
            Set<String> unusable,
            Set<String> paths) {
        boolean dead = look.exists() && truth(values.get("deleted"));
        if (!look.exists()) {
            // what is deleted may be gone
            if (golden.deleted()
                    || golden.version() == 0
                    || base.exists() && truth(base.held().get("deleted"))) {
                return null;
            }
            paths.addAll(golden.values().keySet());
            return "missing";
        }
        if (golden.deleted() && dead || golden.version() == 0 && dead) {
            return null;
        }
        if (!base.exists()) {
            paths.addAll(values.keySet());
            return golden.deleted() ? "deleted" : "surplus";
        }
        Set<String> all = new HashSet<>(values.keySet());
        all.addAll(base.held().keySet());
        for (String path : all) {
            if (schema.field(path) != null
                    && !unusable.contains(Due.name(path))
                    && !Due.same(values.get(path), base.held().get(path))) {
                paths.add(path);
            }
        }
        paths.addAll(Due.paths(schema, golden, found(base, look, values, unusable, paths)));
        if (paths.isEmpty()) {
            return null;
        }
        if (paths.contains("deleted")) {
            return "deleted";
        }
        for (String path : paths) {
            Field field = schema.field(path);
            JsonNode now = values.get(path);
            JsonNode was = base.held().get(path);
            if (field.flow() != null
                    && now != null
                    && was != null
                    && field.flow().leads(now.asText(), was.asText())) {
                return "status_back";
            }
        }
        return "field";
    }

    private static Base found(
            Base base, Observation look, Map<String, JsonNode> values, Set<String> unusable, Set<String> paths) {
        Map<String, JsonNode> sent = new HashMap<>(base.sent());
        sent.keySet().removeAll(paths);
        Set<String> unread = new HashSet<>(unusable);
        unread.addAll(base.unusable());
        return new Base(
                base.system(),
                true,
                true,
                values,
                unread,
                look.position(),
                base.ticks(),
                false,
                base.doubtAt(),
                Map.of(),
                sent,
                Map.of(),
                null,
                base.seen(),
                base.revision());
    }

    private static ArrayNode fields(
            Schema schema, Records.Snapshot snapshot, String system, Map<String, JsonNode> values, Set<String> paths) {
        ArrayNode fields = array();
        for (String path : paths) {
            ObjectNode field = fields.addObject().put("field", path);
            for (String end : schema.systems()) {
                Base base = snapshot.bases().getOrDefault(end, Base.unknown(end));
                field.set(
                        end, end.equals(system) ? values.get(path) : base.held().get(path));
            }
            field.set("golden", snapshot.golden().value(path));
        }
        return fields;
    }

    /** When each end and the golden record were changed last, as each of them says. */
    private static ObjectNode changed(Schema schema, Records.Snapshot snapshot, Observation look) {
        ObjectNode changed = object();
        for (String end : schema.systems()) {
            Base base = snapshot.bases().get(end);
            changed.put(end, end.equals(look.system()) ? look.position() : base == null ? null : base.position());
        }
        snapshot.golden().fields().values().stream()
                .max(java.util.Comparator.comparing(Golden.FieldState::time))
                .ifPresent(last -> changed.put("golden", last.time().toString()).put("by", last.system()));
        return changed;
    }

    private static String print(Schema schema, Records.Snapshot snapshot, Observation look) {
        StringBuilder text = new StringBuilder().append(snapshot.golden().version());
        for (String end : schema.systems()) {
            Base base = snapshot.bases().getOrDefault(end, Base.unknown(end));
            text.append('\n').append(base.exists()).append(base.position());
        }
        text.append('\n').append(look.exists()).append(look.position()).append(look.digest());
        return Canonical.sha256(text.toString());
    }

    private static boolean truth(JsonNode value) {
        return value != null && value.asBoolean();
    }

    private static ArrayNode array() {
        return Json.MAPPER.createArrayNode();
    }

    private static ObjectNode object() {
        return Json.MAPPER.createObjectNode();
    }
}
