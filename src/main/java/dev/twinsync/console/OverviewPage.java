package dev.twinsync.console;

import dev.twinsync.api.Problem;
import dev.twinsync.api.RecordActs;
import dev.twinsync.capture.Capture;
import dev.twinsync.capture.Clocks;
import dev.twinsync.flow.Outages;
import dev.twinsync.operations.Flows;
import dev.twinsync.operations.Seen;
import dev.twinsync.operations.Watches;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.verification.Verifications;
import java.security.Principal;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.springframework.boot.actuate.health.CompositeHealth;
import org.springframework.boot.actuate.health.Health;
import org.springframework.boot.actuate.health.HealthComponent;
import org.springframework.boot.actuate.health.HealthEndpoint;
import org.springframework.boot.actuate.health.Status;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Controller;
import org.springframework.ui.Model;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.servlet.mvc.support.RedirectAttributes;

/** Whether all is well, and where not, the way to what mends it. */
@Controller
class OverviewPage {

    /** Lag beyond this is worth a look, and beyond the second, a call. */
    private static final Duration LATE = Duration.ofSeconds(30);

    private static final Duration VERY_LATE = Duration.ofMinutes(5);

    /** Counting ends here, so that the page costs the same whatever the backlog. */
    private static final int MOST_COUNTED = 100_000;

    /**
     * What is not well.
     *
     * @param level bad or wait
     * @param text in the reader's language
     * @param href where it is mended
     */
    public record Trouble(String level, String text, String detail, String href) {}

    /**
     * One entity at one system.
     *
     * @param lag age of the oldest change that is not refused and does not wait, zero where there is none
     * @param oldestId its record, or null
     */
    public record Line(
            String entity,
            String system,
            Duration lag,
            String oldestId,
            String level,
            long due,
            long waiting,
            Duration typical,
            Pulse.Rate observed,
            Pulse.Rate delivered,
            long letters,
            Instant cursor,
            String cursorText,
            String poll) {}

    /** Letters by age, open ones. */
    public record Ages(long hour, long day, long week, long older) {
        public long all() {
            return hour + day + week + older;
        }
    }

    /**
     * The circuit breaker before an endpoint.
     *
     * @param name of the system, or of the flows that wait behind it
     * @param state closed, open or half_open
     * @param since when what holds it open began, or null
     */
    public record Breaker(String name, String state, Instant since, String href) {}

    private final Schemas schemas;
    private final Outages outages;
    private final Capture capture;
    private final Clocks clocks;
    private final Flows flows;
    private final Pulse pulse;
    private final RecordActs acts;
    private final Watches watches;
    private final HealthEndpoint health;
    private final Verifications verifications;
    private final JdbcTemplate jdbc;
    private final Show show;

    OverviewPage(
            Schemas schemas,
            Outages outages,
            Capture capture,
            Clocks clocks,
            Flows flows,
            Pulse pulse,
            RecordActs acts,
            Watches watches,
            HealthEndpoint health,
            Verifications verifications,
            JdbcTemplate jdbc,
            Show show) {
        this.schemas = schemas;
        this.outages = outages;
        this.capture = capture;
        this.clocks = clocks;
        this.flows = flows;
        this.pulse = pulse;
        this.acts = acts;
        this.watches = watches;
        this.health = health;
        this.verifications = verifications;
        this.jdbc = jdbc;
        this.show = show;
    }

    @GetMapping("/console")
    String overview(Model page) {
        fill(page);
        return "overview";
    }

    /** The part that refreshes itself. */
    @GetMapping("/console/overview")
    String now(Model page) {
        fill(page);
        return "overview :: now";
    }

    /** Lets through a mass deletion that a sweep holds back. */
    @PostMapping("/console/sweeps/{system}/{plural}/release")
    String release(
            @PathVariable String system,
            @PathVariable String plural,
            @RequestParam(defaultValue = "") String reason,
            Principal person,
            RedirectAttributes told) {
        Schema schema = schemas.all().stream()
                .filter(one -> one.plural().equals(plural))
                .findFirst()
                .orElseThrow(() -> new java.util.NoSuchElementException(plural));
        try {
            acts.release(schema, system, person.getName(), show.needed(reason));
            told.addFlashAttribute("done", show.text("sweep.released"));
        } catch (Problem refused) {
            told.addFlashAttribute("refused", show.told(refused.getMessage()));
        }
        return "redirect:/console";
    }

    private void fill(Model page) {
        List<Flows.Flow> all = flows.all();
        // while the tables can't be asked, health says so among the troubles
        Seen seen = watches.seen().orElse(new Seen(List.of(), List.of(), Map.of(), Map.of()));
        List<Line> lines = new ArrayList<>();
        for (Schema schema : schemas.all()) {
            for (String system : schema.systems()) {
                lines.add(line(schema, system, all, seen));
            }
        }
        Ages ages = ages(seen);
        page.addAttribute("lines", lines);
        page.addAttribute("ages", ages);
        page.addAttribute("troubles", troubles(all, lines, ages));
        page.addAttribute("brakes", brakes());
        page.addAttribute("breakers", breakers(all));
        page.addAttribute("openConflicts", openConflicts());
        page.addAttribute("verified", verifications.state());
        page.addAttribute("at", Instant.now());
    }

    private Line line(Schema schema, String system, List<Flows.Flow> all, Seen seen) {
        String entity = schema.entity();
        String poll = Flows.capture(all, system, schema.plural());
        Seen.Backlog backlog = seen.backlog().stream()
                .filter(one -> one.entity().equals(entity) && one.system().equals(system))
                .findFirst()
                .orElse(new Seen.Backlog(entity, system, Duration.ZERO, null, 0, 0));
        String level =
                backlog.lag().compareTo(VERY_LATE) > 0 ? "bad" : backlog.lag().compareTo(LATE) > 0 ? "wait" : "good";
        List<String> cursor =
                jdbc.queryForList("select value::text as value from cursor where name = ?", String.class, poll);
        return new Line(
                entity,
                system,
                backlog.lag(),
                backlog.oldest(),
                level,
                backlog.due(),
                backlog.waiting(),
                pulse.typical(entity, system),
                pulse.rate("observed", entity, system),
                pulse.rate("delivered", entity, system),
                seen.letters().stream()
                        .filter(one ->
                                one.entity().equals(entity) && one.system().equals(system))
                        .mapToLong(Seen.Letters::open)
                        .sum(),
                capture.turns().get(poll),
                cursor.isEmpty() ? null : Show.safe(cursor.get(0)),
                all.stream().anyMatch(flow -> flow.id().equals(poll)) ? poll : null);
    }

    private List<Trouble> troubles(List<Flows.Flow> all, List<Line> lines, Ages ages) {
        List<Trouble> troubles = new ArrayList<>();
        outages.outages().forEach((prefix, outage) -> {
            String system = prefix.startsWith("deliver-") ? system(prefix) : null;
            troubles.add(new Trouble(
                    "bad",
                    system == null
                            ? show.text("trouble.waits", prefix, show.ago(outage.since()))
                            : show.text("trouble.outage", show.word("system." + system), show.ago(outage.since())),
                    Show.safe(outage.cause()),
                    "/console/flows#" + first(all, prefix)));
        });
        capture.troubles()
                .forEach((flow, why) -> troubles.add(
                        new Trouble("bad", show.text("trouble.poll", flow), Show.safe(why), "/console/flows#" + flow)));
        for (Flows.Flow flow : all) {
            if (flow.stop() != null) {
                troubles.add(new Trouble(
                        "wait",
                        show.text(
                                "trouble." + flow.stop().state(),
                                flow.id(),
                                flow.stop().who(),
                                show.ago(flow.stop().at())),
                        flow.stop().reason(),
                        "/console/flows#" + flow.id()));
            } else if (flow.state().equals("stopped")) {
                troubles.add(
                        new Trouble("bad", show.text("trouble.down", flow.id()), null, "/console/flows#" + flow.id()));
            }
        }
        for (Line line : lines) {
            if (!line.level().equals("good")) {
                troubles.add(new Trouble(
                        line.level(),
                        show.text(
                                "trouble.late",
                                show.word("kind." + line.entity()),
                                show.word("system." + line.system()),
                                show.lasted(line.lag())),
                        null,
                        FrontDoor.record(schemas.of(line.entity()).plural(), line.oldestId())));
            }
        }
        clocks.offsets().forEach((system, offset) -> {
            if (offset.abs().compareTo(Clocks.SUSPECT) > 0) {
                troubles.add(new Trouble(
                        "wait",
                        show.text("trouble.clock", show.word("system." + system), show.lasted(offset.abs())),
                        null,
                        "/console/verification/diagnosis"));
            }
        });
        if (ages.all() > 0) {
            troubles.add(new Trouble(
                    ages.week() + ages.older() > 0 ? "bad" : "wait",
                    show.text("trouble.letters", ages.all()),
                    null,
                    "/console/letters"));
        }
        verifications.state().forEach((entity, told) -> {
            if (((Number) told.get("divergent")).longValue() > 0) {
                troubles.add(new Trouble(
                        "wait",
                        show.text(
                                "trouble.divergent",
                                show.word("kind." + entity),
                                told.get("divergent"),
                                show.seconds((Number) told.get("divergent_oldest_seconds"))),
                        null,
                        "/console/verification"));
            }
        });
        jdbc.query(
                "select id, paused_because from retry_operation where state = 'paused' order by id desc limit 20",
                row -> {
                    troubles.add(new Trouble(
                            "wait",
                            show.text("trouble.retry", row.getString(1)),
                            show.told(row.getString(2)),
                            "/console/letters/retries/" + row.getLong(1)));
                });
        String waiting = "select run, entity from verification_run where state = 'waiting_for_approval' order by run";
        for (Map<String, Object> run : jdbc.queryForList(waiting)) {
            troubles.add(new Trouble(
                    "wait",
                    show.text("trouble.approval", run.get("run").toString(), show.word("kind." + run.get("entity"))),
                    null,
                    "/console/verification/" + run.get("run")));
        }
        unwell("", health.health(), troubles);
        return troubles;
    }

    /** The breaker of each system's deliveries, tried or not yet, and of every other flow that has one. */
    private List<Breaker> breakers(List<Flows.Flow> all) {
        Map<String, String> states = new TreeMap<>(outages.states());
        states.putIfAbsent("merge-", "closed");
        schemas.all().forEach(schema -> schema.systems()
                .forEach(system -> states.putIfAbsent("deliver-" + system + '-', "closed")));
        List<Breaker> breakers = new ArrayList<>();
        states.forEach((prefix, state) -> {
            Outages.Outage outage = outages.outages().get(prefix);
            breakers.add(new Breaker(
                    prefix.startsWith("deliver-")
                            ? show.word("system." + system(prefix))
                            : prefix.equals("merge-") ? show.word("flow.merge") : prefix,
                    state,
                    outage == null ? null : outage.since(),
                    "/console/flows#" + first(all, prefix)));
        });
        return breakers;
    }

    private static String system(String prefix) {
        return prefix.replaceAll("^deliver-|-$", "");
    }

    /** What health names beyond flows and letters, which have their own lines. */
    private void unwell(String name, HealthComponent component, List<Trouble> troubles) {
        if (component instanceof CompositeHealth parts) {
            parts.getComponents().forEach((part, inside) -> {
                if (!part.matches("camel.*|flows|letters|deadLetters|lag|outages")) {
                    unwell(name.isEmpty() ? part : name + '/' + part, inside, troubles);
                }
            });
        } else if (component instanceof Health one
                && !one.getStatus().equals(Status.UP)
                && !one.getStatus().equals(Status.UNKNOWN)) {
            Object cause =
                    one.getDetails().getOrDefault("cause", one.getDetails().get("error"));
            troubles.add(new Trouble(
                    "bad",
                    show.text("trouble.health", name, one.getStatus().getCode()),
                    cause == null ? null : Show.safe(cause.toString()),
                    "/console/verification/diagnosis"));
        }
    }

    /** Mass deletions that are held back: system, plural and what is held. */
    private List<List<String>> brakes() {
        List<List<String>> brakes = new ArrayList<>();
        for (Schema schema : schemas.all()) {
            for (String system : schema.systems()) {
                capture.brake(system, schema.entity())
                        .ifPresent(held -> brakes.add(List.of(system, schema.plural(), held)));
            }
        }
        return brakes;
    }

    private static Ages ages(Seen seen) {
        long hour = 0;
        long day = 0;
        long week = 0;
        long all = 0;
        for (Seen.Letters letters : seen.letters()) {
            hour += letters.hour();
            day += letters.day();
            week += letters.week();
            all += letters.open();
        }
        return new Ages(hour, day - hour, week - day, all - week);
    }

    private long openConflicts() {
        return jdbc.queryForObject(
                "select count(*) from (select from conflict where state = 'open' limit ?) c", Long.class, MOST_COUNTED);
    }

    private static String first(List<Flows.Flow> all, String prefix) {
        return all.stream()
                .map(Flows.Flow::id)
                .filter(id -> id.startsWith(prefix))
                .findFirst()
                .orElse("");
    }
}
