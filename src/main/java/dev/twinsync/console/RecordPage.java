package dev.twinsync.console;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.api.KnownRecords;
import dev.twinsync.api.RecordActs;
import dev.twinsync.deadletter.LetterFilter;
import dev.twinsync.deadletter.Letters;
import dev.twinsync.merge.Base;
import dev.twinsync.merge.Due;
import dev.twinsync.merge.Golden;
import dev.twinsync.record.Field;
import dev.twinsync.record.Masking;
import dev.twinsync.record.Schema;
import dev.twinsync.state.Records;
import dev.twinsync.verification.Verifications;
import java.security.Principal;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.TreeSet;
import org.springframework.stereotype.Controller;
import org.springframework.ui.Model;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.servlet.mvc.support.RedirectAttributes;

/** One record: what is true, what each system holds, and how it came to be so. */
@Controller
class RecordPage {

    private static final int TIMELINE = 50;
    private static final int LISTED = 50;
    private static final int FOUND = 10;

    /**
     * A value at one place.
     *
     * @param lines the value as it is written, empty for none
     * @param state same, differs, due, altered, unusable, none (the system can't hold the field) or empty
     * @param sent what was sent where the system shows another value for it
     */
    public record Cell(List<String> lines, String state, List<String> sent) {}

    /** A field: its golden value and who stated it, and the same field at each system. */
    public record Row(
            String path,
            Cell golden,
            long version,
            String system,
            Instant time,
            String rule,
            Map<String, Cell> cells) {}

    /**
     * What one system is known to hold, or holds now.
     *
     * @param state unknown, absent, deleted, present
     * @param dueSince since when something is due there, or null
     * @param trouble why it could not be read, or null
     */
    public record End(
            String system,
            String state,
            String position,
            Instant observedAt,
            boolean doubt,
            Instant dueSince,
            boolean refused,
            List<String> waitingFor,
            String trouble) {}

    private final KnownRecords known;
    private final Records records;
    private final RecordActs acts;
    private final Verifications verifications;
    private final Letters letters;
    private final Show show;

    RecordPage(
            KnownRecords known,
            Records records,
            RecordActs acts,
            Verifications verifications,
            Letters letters,
            Show show) {
        this.known = known;
        this.records = records;
        this.acts = acts;
        this.verifications = verifications;
        this.letters = letters;
        this.show = show;
    }

    /** @param live whether both systems are read now, beside what they are known to hold */
    @GetMapping("/console/{plural:[a-z_]+}/{id}")
    String record(
            @PathVariable String plural,
            @PathVariable String id,
            @RequestParam(defaultValue = "false") boolean live,
            @RequestParam(defaultValue = "") String after,
            Model page) {
        return fill(known.schema(plural), id, live, after, false, page);
    }

    /** Shows personal values in this one answer; that it was asked for, and why, is kept. */
    @PostMapping("/console/{plural:[a-z_]+}/{id}/reveal")
    String reveal(
            @PathVariable String plural,
            @PathVariable String id,
            @RequestParam(defaultValue = "") String reason,
            @RequestParam(defaultValue = "false") boolean live,
            Principal person,
            Model page) {
        Schema schema = known.schema(plural);
        return acts.reveal(
                schema, id, show.needed(reason), person.getName(), () -> fill(schema, id, live, "", true, page));
    }

    /** Reads the record at both systems now, as an observation that the merge works like any other. */
    @PostMapping("/console/{plural:[a-z_]+}/{id}/read")
    String read(@PathVariable String plural, @PathVariable String id, Principal person, RedirectAttributes told) {
        acts.readAgain(known.schema(plural), id, person.getName());
        told.addFlashAttribute("done", show.text("record.read.done"));
        return "redirect:" + FrontDoor.record(plural, id);
    }

    private String fill(Schema schema, String id, boolean live, String after, boolean full, Model page) {
        Records.Snapshot snapshot = records.load(schema.entity(), List.of(id)).get(id);
        Golden golden = snapshot.golden();
        if (golden.version() == 0 && snapshot.bases().isEmpty()) {
            throw new NoSuchElementException(show.text("record.unknown", show.word("kind." + schema.entity()), id));
        }
        Map<String, End> ends = new LinkedHashMap<>();
        Map<String, Map<String, Cell>> cells = new LinkedHashMap<>();
        for (String system : schema.systems()) {
            Base base = snapshot.bases().getOrDefault(system, Base.unknown(system));
            ends.put(system, end(base, snapshot.delivery().get(system)));
            cells.put(system, cells(schema, golden, base, full));
        }
        Map<String, End> now = new LinkedHashMap<>();
        if (live) {
            acts.look(schema, id).forEach((system, seen) -> look(system, seen, schema, golden, full, now, cells));
        }
        page.addAttribute("title", show.word("kind." + schema.entity()) + ' ' + id);
        page.addAttribute("schema", schema);
        page.addAttribute("id", id);
        page.addAttribute("version", golden.version());
        page.addAttribute("deleted", golden.deleted());
        page.addAttribute("ends", ends);
        page.addAttribute("now", now);
        page.addAttribute("rows", rows(schema, golden, cells, full));
        page.addAttribute("full", full);
        page.addAttribute("hides", schema.fields().stream().anyMatch(Field::personal));
        page.addAttribute("live", live);
        page.addAttribute("after", after);
        page.addAttribute("timeline", known.timeline(schema, id, after, TIMELINE, full));
        page.addAttribute("conflicts", known.conflicts(schema.entity(), id, "", null, LISTED, full));
        page.addAttribute("letters", letters(schema, id));
        page.addAttribute("found", verifications.differences(schema.entity(), id, FOUND));
        if (schema.field("user_id") != null && golden.value("user_id") != null) {
            page.addAttribute("user", golden.value("user_id").asText());
        }
        return "record";
    }

    private End end(Base base, Records.Delivery delivery) {
        String state =
                !base.known() ? "unknown" : !base.exists() ? "absent" : deleted(base.held()) ? "deleted" : "present";
        return new End(
                base.system(),
                state,
                base.position(),
                delivery == null ? null : delivery.observedAt(),
                base.doubt(),
                delivery == null ? null : delivery.dueSince(),
                delivery != null && delivery.refused() != null,
                delivery == null || delivery.waitingFor() == null ? List.of() : delivery.waitingFor(),
                null);
    }

    private static boolean deleted(Map<String, JsonNode> values) {
        return values.containsKey("deleted") && values.get("deleted").asBoolean();
    }

    private static Map<String, Cell> cells(Schema schema, Golden golden, Base base, boolean full) {
        Map<String, Cell> cells = new HashMap<>();
        Set<String> due = base.known() || golden.version() > 0 ? Due.paths(schema, golden, base) : Set.of();
        List<String> altered = Due.altered(base);
        Set<String> paths = new TreeSet<>(golden.fields().keySet());
        paths.addAll(base.held().keySet());
        paths.addAll(base.unusable());
        for (String path : paths) {
            Field field = schema.field(path);
            JsonNode held = base.held().get(path);
            String state = "";
            if (field != null && !field.systems().contains(base.system())) {
                state = "none";
            } else if (base.unusable().contains(path)) {
                state = "unusable";
            } else if (base.exists()) {
                state = altered.contains(path)
                        ? "altered"
                        : due.contains(path) ? "due" : Due.same(held, golden.value(path)) ? "same" : "differs";
            }
            JsonNode sent = altered.contains(path) ? base.sent().get(path) : null;
            cells.put(path, new Cell(lines(field, held, full), state, lines(field, sent, full)));
        }
        return cells;
    }

    /** What a system held when it was read just now; what it couldn't answer is told in its place. */
    private static void look(
            String system,
            RecordActs.Seen seen,
            Schema schema,
            Golden golden,
            boolean full,
            Map<String, End> now,
            Map<String, Map<String, Cell>> cells) {
        Map<String, Cell> column = new HashMap<>();
        String state = "unknown";
        String position = null;
        if (seen.reading() != null) {
            boolean exists = seen.reading().exists();
            Map<String, JsonNode> values = seen.normal().values();
            state = !exists ? "absent" : deleted(values) ? "deleted" : "present";
            position = seen.reading().position();
            Set<String> paths = new LinkedHashSet<>(golden.fields().keySet());
            paths.addAll(values.keySet());
            for (String path : paths) {
                Field field = schema.field(path);
                boolean holds = field == null || field.systems().contains(system);
                String judged = !exists
                        ? ""
                        : !holds ? "none" : Due.same(values.get(path), golden.value(path)) ? "same" : "differs";
                column.put(path, new Cell(lines(field, values.get(path), full), judged, List.of()));
            }
            seen.normal().problems().forEach(p -> column.put(p.field(), new Cell(List.of(), "unusable", List.of())));
        }
        now.put(
                system,
                new End(
                        system,
                        state,
                        position,
                        Instant.now(),
                        false,
                        null,
                        false,
                        List.of(),
                        Show.safe(seen.trouble())));
        cells.put("now-" + system, column);
    }

    private static List<Row> rows(Schema schema, Golden golden, Map<String, Map<String, Cell>> columns, boolean full) {
        Set<String> paths = new LinkedHashSet<>();
        Set<String> present = new TreeSet<>(golden.fields().keySet());
        columns.values().forEach(column -> present.addAll(column.keySet()));
        for (Field field : schema.fields()) {
            present.stream()
                    .filter(path -> path.equals(field.name()) || path.startsWith(field.name() + '.'))
                    .forEach(paths::add);
        }
        paths.addAll(present);
        List<Row> rows = new ArrayList<>();
        for (String path : paths) {
            Golden.FieldState state = golden.fields().get(path);
            Field field = schema.field(path);
            Map<String, Cell> cells = new LinkedHashMap<>();
            columns.forEach(
                    (name, column) -> cells.put(name, column.getOrDefault(path, new Cell(List.of(), "", List.of()))));
            rows.add(new Row(
                    path,
                    new Cell(lines(field, golden.value(path), full), "", List.of()),
                    state == null ? 0 : state.version(),
                    state == null || state.time().equals(Instant.EPOCH) ? null : state.system(),
                    state == null || state.time().equals(Instant.EPOCH) ? null : state.time(),
                    field == null ? null : field.rule().name().toLowerCase(java.util.Locale.ROOT),
                    cells));
        }
        return rows;
    }

    private static List<String> lines(Field field, JsonNode value, boolean full) {
        return Show.lines(full ? value : Masking.mask(field, value));
    }

    /** The record's letters: what is to be done first, then what is over, each newest first. */
    private List<Map<?, ?>> letters(Schema schema, String id) {
        LetterFilter all = LetterFilter.of(Map.of("entity", schema.entity(), "key", id));
        List<ObjectNode> found = new ArrayList<>();
        for (String state : List.of("open,retrying", "resolved,superseded,discarded")) {
            found.addAll(letters.list(all.with("state", state), Letters.Order.NEWEST, null, LISTED)
                    .items());
        }
        return Show.maps(found);
    }

    /** What the timeline's entry moved, a line a field. */
    static List<ObjectNode> moves(JsonNode fields) {
        List<ObjectNode> moves = new ArrayList<>();
        if (fields != null && fields.isObject()) {
            fields.properties().forEach(entry -> {
                ObjectNode move = entry.getValue().isObject()
                        ? entry.getValue().<ObjectNode>deepCopy()
                        : dev.twinsync.record.Json.MAPPER.createObjectNode();
                moves.add(move.put("path", entry.getKey()));
            });
        }
        return moves;
    }
}
