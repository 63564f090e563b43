package dev.twinsync.console;

import dev.twinsync.audit.Audit;
import dev.twinsync.capture.Capture;
import dev.twinsync.capture.Clocks;
import dev.twinsync.flow.Outages;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.verification.Verifications;
import java.security.Principal;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.springframework.boot.actuate.health.CompositeHealth;
import org.springframework.boot.actuate.health.Health;
import org.springframework.boot.actuate.health.HealthComponent;
import org.springframework.boot.actuate.health.HealthEndpoint;
import org.springframework.boot.actuate.health.Status;
import org.springframework.context.MessageSource;
import org.springframework.context.i18n.LocaleContextHolder;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Controller;
import org.springframework.ui.Model;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
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
     * @param oldest since when the oldest change is due that is not refused and does not wait, or null
     * @param oldestId its record
     */
    public record Line(
            String entity,
            String system,
            Instant oldest,
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
            String poll) {

        /** The lag as a duration. */
        public Duration lag() {
            return oldest == null ? Duration.ZERO : Duration.between(oldest, Instant.now());
        }
    }

    /** Letters by age, open ones. */
    public record Ages(long hour, long day, long week, long older) {
        public long all() {
            return hour + day + week + older;
        }
    }

    private static final String BACKLOG = """
            select oldest.since, oldest.id, counted.due, counted.waiting
            from (select) nothing
            left join lateral (
              select d.since, d.id from due d
              left join base b on b.entity = d.entity and b.id = d.id and b.system = d.system
              where d.entity = ? and d.system = ? and b.waiting_for is null
                and not exists (select from golden g where g.entity = d.entity and g.id = d.id and g.version = b.refused)
              order by d.since limit 1) oldest on true
            cross join lateral (
              select (select count(*) from (select from due where entity = ? and system = ? limit ?) d) as due,
                     (select count(*) from (
                       select from base where entity = ? and system = ? and waiting_for is not null limit ?) b) as waiting)
              counted""";

    private final Schemas schemas;
    private final Outages outages;
    private final Capture capture;
    private final Clocks clocks;
    private final Flows flows;
    private final Pulse pulse;
    private final Audit audit;
    private final HealthEndpoint health;
    private final Verifications verifications;
    private final JdbcTemplate jdbc;
    private final MessageSource messages;
    private final Show show;

    OverviewPage(
            Schemas schemas,
            Outages outages,
            Capture capture,
            Clocks clocks,
            Flows flows,
            Pulse pulse,
            Audit audit,
            HealthEndpoint health,
            Verifications verifications,
            JdbcTemplate jdbc,
            MessageSource messages,
            Show show) {
        this.schemas = schemas;
        this.outages = outages;
        this.capture = capture;
        this.clocks = clocks;
        this.flows = flows;
        this.pulse = pulse;
        this.audit = audit;
        this.health = health;
        this.verifications = verifications;
        this.jdbc = jdbc;
        this.messages = messages;
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
            @PathVariable String system, @PathVariable String plural, Principal person, RedirectAttributes told) {
        Schema schema = schemas.all().stream()
                .filter(one -> one.plural().equals(plural))
                .findFirst()
                .orElseThrow(() -> new java.util.NoSuchElementException(plural));
        if (capture.brake(system, schema.entity()).isPresent()) {
            audit.act(
                    new Audit.Act(person.getName(), "sweep.release", "flow", "sweep-" + system + '-' + plural, null),
                    () -> capture.release(system, schema.entity()));
        }
        told.addFlashAttribute("done", text("sweep.released"));
        return "redirect:/console";
    }

    private void fill(Model page) {
        List<Flows.Flow> all = flows.all();
        List<Line> lines = new ArrayList<>();
        for (Schema schema : schemas.all()) {
            for (String system : schema.systems()) {
                lines.add(line(schema, system, all));
            }
        }
        Ages ages = ages();
        page.addAttribute("lines", lines);
        page.addAttribute("ages", ages);
        page.addAttribute("troubles", troubles(all, lines, ages));
        page.addAttribute("brakes", brakes());
        page.addAttribute("openConflicts", openConflicts());
        page.addAttribute("verified", verifications.state());
        page.addAttribute("at", Instant.now());
    }

    private Line line(Schema schema, String system, List<Flows.Flow> all) {
        String entity = schema.entity();
        String poll = "poll-" + system + '-' + schema.plural();
        Map<String, Object> backlog =
                jdbc.queryForMap(BACKLOG, entity, system, entity, system, MOST_COUNTED, entity, system, MOST_COUNTED);
        Instant oldest = backlog.get("since") instanceof java.sql.Timestamp at ? at.toInstant() : null;
        Duration lag = oldest == null ? Duration.ZERO : Duration.between(oldest, Instant.now());
        String level = lag.compareTo(VERY_LATE) > 0 ? "bad" : lag.compareTo(LATE) > 0 ? "wait" : "good";
        List<Map<String, Object>> cursor =
                jdbc.queryForList("select value::text as value, updated_at from cursor where name = ?", poll);
        return new Line(
                entity,
                system,
                oldest,
                (String) backlog.get("id"),
                level,
                (Long) backlog.get("due"),
                (Long) backlog.get("waiting"),
                pulse.typical(entity, system),
                pulse.rate("observed", entity, system),
                pulse.rate("delivered", entity, system),
                jdbc.queryForObject(
                        "select count(*) from dead_letter where state in ('open', 'retrying') and entity = ? and system = ?",
                        Long.class,
                        entity,
                        system),
                capture.turns().get(poll),
                cursor.isEmpty() ? null : Show.safe((String) cursor.get(0).get("value")),
                all.stream().anyMatch(flow -> flow.id().equals(poll)) ? poll : null);
    }

    private List<Trouble> troubles(List<Flows.Flow> all, List<Line> lines, Ages ages) {
        List<Trouble> troubles = new ArrayList<>();
        outages.outages().forEach((prefix, outage) -> {
            String system = prefix.startsWith("deliver-") ? prefix.replaceAll("^deliver-|-$", "") : null;
            troubles.add(new Trouble(
                    "bad",
                    system == null
                            ? text("trouble.waits", prefix, show.ago(outage.since()))
                            : text("trouble.outage", show.word("system." + system), show.ago(outage.since())),
                    Show.safe(outage.cause()),
                    "/console/flows#" + first(all, prefix)));
        });
        capture.troubles()
                .forEach((flow, why) -> troubles.add(
                        new Trouble("bad", text("trouble.poll", flow), Show.safe(why), "/console/flows#" + flow)));
        for (Flows.Flow flow : all) {
            if (flow.stop() != null) {
                troubles.add(new Trouble(
                        "wait",
                        text(
                                "trouble." + flow.stop().state(),
                                flow.id(),
                                flow.stop().who(),
                                show.ago(flow.stop().at())),
                        flow.stop().reason(),
                        "/console/flows#" + flow.id()));
            } else if (flow.state().equals("stopped")) {
                troubles.add(new Trouble("bad", text("trouble.down", flow.id()), null, "/console/flows#" + flow.id()));
            }
        }
        for (Line line : lines) {
            if (!line.level().equals("good")) {
                troubles.add(new Trouble(
                        line.level(),
                        text(
                                "trouble.late",
                                text("kind." + line.entity()),
                                text("system." + line.system()),
                                show.lasted(line.lag())),
                        null,
                        FrontDoor.record(schemas.of(line.entity()).plural(), line.oldestId())));
            }
        }
        clocks.offsets().forEach((system, offset) -> {
            if (offset.abs().compareTo(Clocks.SUSPECT) > 0) {
                troubles.add(new Trouble(
                        "wait",
                        text("trouble.clock", text("system." + system), show.lasted(offset.abs())),
                        null,
                        "/console/flows"));
            }
        });
        if (ages.all() > 0) {
            troubles.add(new Trouble(
                    ages.week() + ages.older() > 0 ? "bad" : "wait",
                    text("trouble.letters", ages.all()),
                    null,
                    "/console/letters"));
        }
        verifications.state().forEach((entity, told) -> {
            if (((Number) told.get("divergent")).longValue() > 0) {
                troubles.add(new Trouble(
                        "wait",
                        text("trouble.divergent", text("kind." + entity), told.get("divergent"), show.seconds((Number)
                                told.get("divergent_oldest_seconds"))),
                        null,
                        "/console/verification"));
            }
        });
        unwell("", health.health(), troubles);
        return troubles;
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
                    text("trouble.health", name, one.getStatus().getCode()),
                    cause == null ? null : Show.safe(cause.toString()),
                    "/console/flows"));
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

    private Ages ages() {
        return jdbc.queryForObject(
                """
                select count(*) filter (where age < interval '1 hour'),
                  count(*) filter (where age >= interval '1 hour' and age < interval '1 day'),
                  count(*) filter (where age >= interval '1 day' and age < interval '7 days'),
                  count(*) filter (where age >= interval '7 days')
                from (select clock_timestamp() - first_failed_at as age from dead_letter where state in ('open', 'retrying')) l""", (row, n) -> new Ages(row.getLong(1), row.getLong(2), row.getLong(3), row.getLong(4)));
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

    private String text(String code, Object... arguments) {
        return messages.getMessage(code, arguments, code, LocaleContextHolder.getLocale());
    }
}
