package dev.twinsync.console;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.api.Problem;
import dev.twinsync.deadletter.DeadLetters;
import dev.twinsync.deadletter.DeskActs;
import dev.twinsync.deadletter.LetterExport;
import dev.twinsync.deadletter.LetterFilter;
import dev.twinsync.deadletter.Letters;
import dev.twinsync.deadletter.Retries;
import dev.twinsync.record.Json;
import dev.twinsync.record.Masking;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.math.BigDecimal;
import java.security.Principal;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.StringJoiner;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;
import java.util.function.Supplier;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.http.HttpStatus;
import org.springframework.stereotype.Controller;
import org.springframework.ui.Model;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.server.ResponseStatusException;
import org.springframework.web.servlet.mvc.support.RedirectAttributes;
import org.springframework.web.servlet.support.ServletUriComponentsBuilder;
import org.springframework.web.util.UriComponentsBuilder;

/** The letters on pages: by cause, as a list, one whole, and their retries. Every button is also a call. */
@Controller
class LettersPage {

    private static final int PAGE = 50;

    /** Of so many letters, what each would do is told with the page. */
    private static final int AT_ONCE = 200;

    private static final Set<String> IN_FORM =
            Set.of("q", "state", "entity", "system", "key", "error", "attempts", "from");

    private static final String[] BESIDE = {
        "after",
        "lang",
        "letter",
        "_csrf",
        "reason",
        "rate",
        "canary",
        "stop_at",
        "once",
        "format",
        "whole",
        "chosen",
        "from_retries",
        "sort"
    };

    private final Letters letters;
    private final Retries retries;
    private final DeskActs acts;
    private final LetterExport export;
    private final Schemas schemas;
    private final Causes causes;
    private final Show show;
    private final BigDecimal rate;

    LettersPage(
            Letters letters,
            Retries retries,
            DeskActs acts,
            LetterExport export,
            Schemas schemas,
            Causes causes,
            Show show,
            @Value("${twinsync.dead-letters.retry.rate}") BigDecimal rate) {
        this.letters = letters;
        this.retries = retries;
        this.acts = acts;
        this.export = export;
        this.schemas = schemas;
        this.causes = causes;
        this.show = show;
        this.rate = rate;
    }

    @GetMapping("/console/letters")
    String groups(
            @RequestParam(defaultValue = "") String state,
            @RequestParam(defaultValue = "false") boolean all,
            @RequestParam(defaultValue = "count") String sort,
            Model page) {
        Problem.oneOf("sort", sort, Letters.GROUP_ORDERS);
        String asked = state.isEmpty() ? null : state;
        Problem.oneOf("state", asked, Letters.GROUP_STATES);
        List<ObjectNode> groups = letters.groups(asked, all, sort);
        page.addAttribute("groups", Show.maps(groups));
        page.addAttribute(
                "open",
                groups.stream().mapToLong(group -> group.path("count").asLong()).sum());
        page.addAttribute("state", state);
        page.addAttribute("all", all);
        page.addAttribute("sort", sort);
        page.addAttribute("sorts", Letters.GROUP_ORDERS);
        page.addAttribute("ending", letters.ending());
        page.addAttribute("running", Show.maps(retries.underWay()));
        return "letters";
    }

    private LetterFilter filter(Map<String, String> given) {
        return usable(() -> LetterFilter.of(given, BESIDE));
    }

    private <T> T usable(Supplier<T> asked) {
        try {
            return asked.get();
        } catch (LetterFilter.Invalid e) {
            throw new ResponseStatusException(HttpStatus.BAD_REQUEST, e.name() + ": " + show.told(e.what()));
        }
    }

    private static String query(LetterFilter filter) {
        UriComponentsBuilder query = UriComponentsBuilder.newInstance();
        filter.values().forEach((name, value) -> query.queryParam(name, "{" + name + "}"));
        String built = query.buildAndExpand(filter.values()).encode().toUriString();
        return built.isEmpty() ? "?" : built + "&";
    }

    @GetMapping("/console/letters/list")
    String list(@RequestParam Map<String, String> given, Model page) {
        Map<String, String> asked = new LinkedHashMap<>(given);
        asked.putIfAbsent("state", "open");
        LetterFilter filter = filter(asked);
        String sort = given.getOrDefault("sort", Letters.Order.NEWEST.word());
        Problem.oneOf("sort", sort, Letters.Order.WORDS);
        Letters.Page found = usable(() -> letters.list(filter, Letters.Order.of(sort), given.get("after"), PAGE));
        page.addAttribute("letters", Show.maps(found.items()));
        page.addAttribute("next", found.next());
        page.addAttribute("sort", sort);
        page.addAttribute("sorts", Letters.Order.WORDS);
        page.addAttribute("count", letters.count(filter));
        page.addAttribute("filter", filter.values());
        page.addAttribute("query", query(filter));
        page.addAttribute("since", since());
        // what has no place of its own in the form is told beside it, and stays when the form is sent
        Map<String, String> further = new TreeMap<>(filter.values());
        further.keySet().removeAll(IN_FORM);
        page.addAttribute("further", further);
        page.addAttribute("entities", schemas.all().stream().map(Schema::entity).toList());
        page.addAttribute(
                "systems",
                schemas.all().stream()
                        .flatMap(schema -> schema.systems().stream())
                        .distinct()
                        .toList());
        String group = filter.values().get("group");
        if (group != null) {
            try {
                Map<?, ?> shown = Show.map(letters.group(group));
                page.addAttribute("group", shown);
                page.addAttribute("todo", ((Number) shown.get("count")).longValue() > 0 ? causes.next(shown) : null);
            } catch (java.util.NoSuchElementException e) {
                // a group of long ago: the list says that it is empty
            }
        }
        return "letters-list";
    }

    /** Moments to look back to, each with its name. */
    private Map<String, String> since() {
        Instant now = Instant.now().truncatedTo(ChronoUnit.SECONDS);
        Map<String, String> since = new LinkedHashMap<>();
        for (Duration back : List.of(Duration.ofHours(1), Duration.ofDays(1), Duration.ofDays(7))) {
            since.put(show.lasted(back), now.minus(back).toString());
        }
        return since;
    }

    @GetMapping("/console/letters/export")
    void export(@RequestParam Map<String, String> given, Principal person, HttpServletResponse response)
            throws IOException {
        LetterFilter filter = filter(given);
        String format = given.getOrDefault("format", "jsonl");
        Problem.oneOf("format", format, LetterExport.FORMATS);
        acts.exported(filter, format, person.getName());
        response.setContentType(format.equals("csv") ? "text/csv;charset=UTF-8" : "application/x-ndjson");
        response.setHeader("Content-Disposition", "attachment; filename=\"dead-letters." + format + '"');
        export.write(format, filter, response.getOutputStream());
    }

    /**
     * A field of the record, side by side; each value in the lines in which it is written.
     *
     * @param systems what each system holds, in the order of the schema
     */
    public record Line(String field, List<String> wanted, List<String> golden, List<Held> systems) {}

    /** @param system its name as the reader knows it */
    public record Held(String system, List<String> value, boolean differs) {}

    /** What a retry would change of a field. */
    public record Move(String field, String from, String to) {}

    /** Whether something is under way that will change the letter by itself. */
    private static boolean moving(ObjectNode letter) {
        return letter.path("state").asText().equals("retrying") || letter.hasNonNull("in_retry");
    }

    /** The letter's state, for a page that waits for a retry's end; when that has come, the page is shown anew. */
    @GetMapping("/console/letters/{id:\\d+}/state")
    String state(@PathVariable long id, HttpServletResponse response, Model page) {
        ObjectNode letter = letters.detail(id);
        boolean moving = moving(letter);
        if (!moving) {
            response.setHeader("HX-Refresh", "true");
        }
        page.addAttribute("letter", Show.map(letter));
        page.addAttribute("moving", moving);
        return "letters-detail :: state";
    }

    @GetMapping("/console/letters/{id:\\d+}")
    String letter(@PathVariable long id, HttpServletRequest request, Model page) {
        ObjectNode letter = letters.detail(id);
        page.addAttribute("letter", Show.map(letter));
        page.addAttribute("moving", moving(letter));
        JsonNode retries = letter.path("retries");
        page.addAttribute("todo", todo(letter));
        page.addAttribute(
                "already",
                retries.valueStream()
                        .filter(retry -> retry.path("outcome").asText().equals("failed_again"))
                        .count());
        page.addAttribute("tried", retries.isEmpty() ? null : Show.map(retries.get(retries.size() - 1)));
        page.addAttribute(
                "retry",
                letter.hasNonNull("in_retry")
                                && List.of("open", "retrying")
                                        .contains(letter.path("state").asText())
                        ? Show.map(this.retries.operation(letter.get("in_retry").asLong()))
                        : null);
        page.addAttribute(
                "base", ServletUriComponentsBuilder.fromContextPath(request).toUriString());
        page.addAttribute("message", pretty(letter.get("message")));
        page.addAttribute("request", pretty(letter.get("request")));
        page.addAttribute("then", pretty(letter.get("systems")));
        page.addAttribute("once", UUID.randomUUID().toString());
        List<String> systems = new ArrayList<>();
        letter.path("now").path("systems").fieldNames().forEachRemaining(systems::add);
        page.addAttribute("systems", systems);
        page.addAttribute("lines", lines(letter, systems));
        page.addAttribute("moves", moves(letter.path("retry_now").path("fields")));
        page.addAttribute(
                "plural",
                schemas.has(letter.path("entity").asText())
                        ? schemas.of(letter.path("entity").asText()).plural()
                        : null);
        return "letters-detail";
    }

    /** What is to be done about an open letter: nothing where it mends itself; null where it is at an end or under way. */
    private Causes.Next todo(ObjectNode letter) {
        if (!letter.path("state").asText().equals("open") || letter.hasNonNull("in_retry")) {
            return null;
        }
        JsonNode now = letter.path("retry_now");
        return switch (now.path("would").asText()) {
            case "close" -> new Causes.Next(null, List.of(show.word("next.close")));
            case "wait" ->
                new Causes.Next(
                        null,
                        List.of(show.text(
                                "next.wait",
                                show.word("kind." + letter.path("entity").asText()),
                                String.join(
                                        ", ",
                                        now.path("waiting_for")
                                                .valueStream()
                                                .map(JsonNode::asText)
                                                .toList()))));
            default -> causes.next(Show.map(letter));
        };
    }

    private static String pretty(JsonNode node) {
        if (node == null || node.isNull()) {
            return null;
        }
        return Masking.visible(node.isTextual() ? node.asText() : node.toPrettyString());
    }

    private List<Line> lines(ObjectNode letter, List<String> systems) {
        JsonNode now = letter.path("now");
        JsonNode wanted = letter.path("request").path("data");
        Set<String> fields = new TreeSet<>();
        wanted.fieldNames().forEachRemaining(fields::add);
        now.path("golden").fieldNames().forEachRemaining(fields::add);
        systems.forEach(system ->
                now.path("systems").path(system).path("held").fieldNames().forEachRemaining(fields::add));
        List<Line> lines = new ArrayList<>();
        for (String field : fields) {
            List<String> golden = Show.lines(now.path("golden").get(field));
            List<Held> held = systems.stream()
                    .map(system -> {
                        List<String> value = Show.lines(
                                now.path("systems").path(system).path("held").get(field));
                        return new Held(show.word("system." + system), value, !value.equals(golden));
                    })
                    .toList();
            lines.add(new Line(field, Show.lines(wanted.get(field)), golden, held));
        }
        return lines;
    }

    private List<Move> moves(JsonNode fields) {
        return fields.properties().stream()
                .map(field -> new Move(
                        field.getKey(),
                        show.value(field.getValue().get("from")),
                        show.value(field.getValue().get("to"))))
                .toList();
    }

    @PostMapping("/console/letters/{id:\\d+}/retry")
    String retry(
            @PathVariable long id,
            @RequestParam(defaultValue = "") String reason,
            @RequestParam(defaultValue = "") String patch,
            @RequestParam String once,
            Principal person,
            RedirectAttributes flash) {
        ObjectNode edit = null;
        if (!patch.isBlank()) {
            try {
                if (Json.read(patch) instanceof ObjectNode object) {
                    edit = object;
                }
            } catch (IllegalArgumentException e) {
                // told below
            }
            if (edit == null) {
                flash.addFlashAttribute("refused", show.word("letters.edit.unreadable"));
                return "redirect:/console/letters/" + id;
            }
        }
        ObjectNode fields = edit;
        return done(flash, "/console/letters/" + id, () -> {
            long operation = acts.retry(
                    id, reason.isBlank() ? null : reason, fields, person.getName(), person.getName() + '/' + once);
            flash.addFlashAttribute("done", show.word("letters.retry.begun") + " " + operation);
        });
    }

    @PostMapping("/console/letters/{id:\\d+}/discard")
    String discard(
            @PathVariable long id,
            @RequestParam(defaultValue = "") String reason,
            @RequestParam(name = "from_retries", defaultValue = "false") boolean fromRetries,
            Principal person,
            RedirectAttributes flash) {
        if (reason.isBlank()) {
            flash.addFlashAttribute("refused", show.word("letters.reason.needed"));
            return "redirect:/console/letters/" + id;
        }
        return done(flash, "/console/letters/" + id, () -> acts.discard(id, reason, fromRetries, person.getName()));
    }

    @PostMapping("/console/letters/{id:\\d+}/restore")
    String restore(@PathVariable long id, Principal person, RedirectAttributes flash) {
        return done(flash, "/console/letters/" + id, () -> acts.restore(id, person.getName()));
    }

    @PostMapping("/console/letters/groups/{group}")
    String mark(
            @PathVariable String group,
            @RequestParam String state,
            @RequestParam(defaultValue = "") String note,
            Principal person,
            RedirectAttributes flash) {
        if (!Letters.GROUP_STATES.contains(state) || note.length() > 4000) {
            flash.addFlashAttribute("refused", show.word("letters.mark.refused"));
        } else {
            acts.mark(group, state, note, person.getName());
            flash.addFlashAttribute("done", show.word("letters.mark.done"));
        }
        return "redirect:"
                + UriComponentsBuilder.fromPath("/console/letters/list")
                        .queryParam("group", "{group}")
                        .buildAndExpand(group)
                        .encode()
                        .toUriString();
    }

    private String done(RedirectAttributes flash, String to, Runnable act) {
        try {
            act.run();
        } catch (DeadLetters.Refused e) {
            StringJoiner told = new StringJoiner("; ");
            told.add(show.told(e.getMessage()));
            e.problems().forEach(problem -> told.add(problem.pointer() + ": " + show.told(problem.message())));
            flash.addFlashAttribute("refused", told.toString());
        }
        return "redirect:" + to;
    }

    /** The filter of the page that a person comes from, or the letters that were chosen there: none chosen are not all. */
    private LetterFilter asked(Map<String, String> given, List<Long> chosen) {
        if (chosen == null || chosen.isEmpty()) {
            if (given.containsKey("chosen")) {
                throw new ResponseStatusException(HttpStatus.BAD_REQUEST, show.word("letters.choose.none"));
            }
            return filter(given);
        }
        StringJoiner ids = new StringJoiner(",");
        chosen.forEach(id -> ids.add(String.valueOf(id)));
        return LetterFilter.of(Map.of("ids", ids.toString()));
    }

    private static LetterFilter upTo(LetterFilter filter, Long newest) {
        return newest == null ? filter : filter.with("up_to", String.valueOf(newest));
    }

    /**
     * What a retry of the filter's open letters would do, before it is begun. What each of many would do takes a while to
     * tell: it comes after the page.
     */
    @GetMapping("/console/letters/retry")
    String plan(
            @RequestParam Map<String, String> given,
            @RequestParam(required = false) List<Long> letter,
            @RequestParam(defaultValue = "false") boolean whole,
            Model page) {
        LetterFilter asked = asked(given, letter);
        Retries.Frozen frozen = retries.frozen(asked);
        LetterFilter filter = upTo(asked, frozen.upTo());
        page.addAttribute("frozen", frozen);
        if (whole || frozen.total() <= AT_ONCE) {
            page.addAttribute("plan", retries.plan(filter));
        }
        page.addAttribute("query", query(filter));
        page.addAttribute("filter", filter.values());
        if (!page.containsAttribute("asked")) {
            page.addAttribute(
                    "asked",
                    Map.of(
                            "canary",
                            frozen.total() > 20 ? "5" : frozen.total() > 1 ? "1" : "0",
                            "rate",
                            show.number(rate),
                            "stop_at",
                            "20",
                            "reason",
                            ""));
        }
        page.addAttribute("once", UUID.randomUUID().toString());
        return "letters-retry";
    }

    /** The part of the page that comes later. */
    @GetMapping("/console/letters/retry/plan")
    String planned(@RequestParam Map<String, String> given, Model page) {
        page.addAttribute("plan", retries.plan(filter(given)));
        return "letters-retry :: plan";
    }

    /** How many would be discarded, before they are. */
    @GetMapping("/console/letters/discard")
    String discarding(
            @RequestParam Map<String, String> given, @RequestParam(required = false) List<Long> letter, Model page) {
        LetterFilter asked = asked(given, letter);
        Letters.Discarding look = letters.discarding(asked);
        page.addAttribute("look", look);
        page.addAttribute("filter", upTo(asked, look.upTo()).values());
        return "letters-discard";
    }

    @PostMapping("/console/letters/discards")
    String discard(
            @RequestParam Map<String, String> given,
            @RequestParam(defaultValue = "") String reason,
            @RequestParam(name = "from_retries", defaultValue = "false") boolean fromRetries,
            Principal person,
            RedirectAttributes flash) {
        if (reason.isBlank()) {
            throw new ResponseStatusException(HttpStatus.BAD_REQUEST, show.word("letters.reason.needed"));
        }
        LetterFilter filter = filter(given);
        int discarded = acts.discard(filter, reason, fromRetries, person.getName());
        Letters.Discarding left = letters.discarding(filter);
        int kept = left.inRetries() + left.onTheirWay();
        flash.addFlashAttribute(
                "done",
                show.text("letters.discard.done", discarded)
                        + (kept == 0 ? "" : " " + show.text("letters.discard.left", kept)));
        return "redirect:/console/letters/list?state=discarded";
    }

    @PostMapping("/console/letters/restores")
    String restore(@RequestParam Map<String, String> given, Principal person, RedirectAttributes flash) {
        return done(flash, "/console/letters/list?state=open", () -> {
            int restored = acts.restore(filter(given), person.getName());
            flash.addFlashAttribute("done", show.text("letters.restore.done", restored));
        });
    }

    @PostMapping("/console/letters/retries")
    String begin(
            @RequestParam Map<String, String> given,
            @RequestParam(defaultValue = "") String reason,
            @RequestParam String once,
            Principal person,
            RedirectAttributes flash) {
        LetterFilter filter = filter(given);
        StringJoiner refused = new StringJoiner(" ");
        BigDecimal rate = number(given, "rate", 0, Retries.Bound.RATE, refused);
        BigDecimal canary = number(given, "canary", 0, Retries.Bound.CANARY, refused);
        BigDecimal stopAt = number(given, "stop_at", 2, Retries.Bound.STOP_AT, refused);
        if (refused.length() > 0) {
            flash.addFlashAttribute("refused", refused.toString());
            flash.addFlashAttribute("asked", given);
            return "redirect:/console/letters/retry" + query(filter);
        }
        long operation = acts.retry(new Retries.Ask(
                filter,
                rate,
                canary.intValue(),
                stopAt,
                reason.isBlank() ? null : reason,
                person.getName(),
                person.getName() + '/' + once));
        return "redirect:/console/letters/retries/" + operation;
    }

    /**
     * A number of the form.
     *
     * @param places by which the form's number is larger: 2 where it is percent
     * @param refused where it is told which field is wrong and what to write
     */
    private BigDecimal number(
            Map<String, String> given, String field, int places, Retries.Bound bound, StringJoiner refused) {
        try {
            BigDecimal number = new BigDecimal(given.getOrDefault(field, "").strip()).movePointLeft(places);
            if (bound.holds(number)) {
                return number;
            }
        } catch (NumberFormatException | ArithmeticException e) {
            // told below
        }
        refused.add(show.text(
                bound == Retries.Bound.CANARY ? "letters.plan.whole" : "letters.plan.number",
                show.word("letters.plan." + field),
                show.number(bound.least().movePointRight(places)),
                show.number(bound.most().movePointRight(places))));
        return null;
    }

    @GetMapping("/console/letters/retries")
    String operations(@RequestParam(defaultValue = "" + Long.MAX_VALUE) long after, Model page) {
        List<ObjectNode> found = retries.list(after, PAGE);
        page.addAttribute("operations", Show.maps(found));
        page.addAttribute(
                "next", Show.next(found, PAGE, one -> one.path("operation").asText()));
        return "letters-retries";
    }

    @GetMapping("/console/letters/retries/{operation:\\d+}")
    String operation(
            @PathVariable long operation,
            @RequestParam(defaultValue = "") String outcome,
            @RequestParam(defaultValue = "0") long after,
            Model page) {
        page.addAttribute("operation", Show.map(retries.operation(operation)));
        String only = outcome.isEmpty() ? null : outcome;
        Problem.oneOf("outcome", only, Retries.OUTCOMES);
        List<ObjectNode> items = retries.items(operation, only, after, PAGE);
        page.addAttribute("items", Show.maps(items));
        page.addAttribute("outcome", outcome);
        page.addAttribute(
                "next", Show.next(items, PAGE, one -> one.path("position").asText()));
        return "letters-operation";
    }

    /** The part of the page that moves. */
    @GetMapping("/console/letters/retries/{operation:\\d+}/progress")
    String progress(@PathVariable long operation, Model page) {
        page.addAttribute("operation", Show.map(retries.operation(operation)));
        return "letters-operation :: progress";
    }

    @PostMapping("/console/letters/retries/{operation:\\d+}/{act:pause|resume|cancel}")
    String move(
            @PathVariable long operation,
            @PathVariable String act,
            @RequestParam(defaultValue = "") String reason,
            Principal person,
            RedirectAttributes flash) {
        // a pause may have to be quick, and nothing is lost by it
        String why = reason.isBlank() ? null : reason;
        return done(flash, "/console/letters/retries/" + operation, () -> {
            switch (act) {
                case "pause" -> acts.pause(operation, why, person.getName());
                case "resume" -> acts.resume(operation, why, person.getName());
                default -> acts.cancel(operation, show.needed(why), person.getName());
            }
        });
    }
}
