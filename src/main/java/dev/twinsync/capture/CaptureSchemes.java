package dev.twinsync.capture;

import dev.twinsync.audit.Audit;
import dev.twinsync.flow.KafkaClients;
import dev.twinsync.flow.Outages;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.apache.camel.Endpoint;
import org.apache.camel.Route;
import org.apache.camel.ServiceStatus;
import org.apache.camel.component.kafka.KafkaEndpoint;
import org.apache.camel.model.ModelCamelContext;
import org.apache.camel.model.RouteDefinition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.boot.context.event.ApplicationReadyEvent;
import org.springframework.context.event.EventListener;
import org.springframework.core.env.Environment;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.stereotype.Component;

/**
 * Which scheme tells a system's changes: {@code poll}, {@code log}, {@code feed}, or {@code none}. The flows {@code
 * <scheme>-<system>-*} of that scheme run and those of the others don't. A switch is stored, so that every instance
 * follows within a second and a restart keeps it; what is stored wins over the environment. The new scheme starts, and
 * the old one stops when the new one runs: what both tell equals the base the second time.
 */
@Component("captureSchemes")
public class CaptureSchemes {

    private static final Logger LOG = LoggerFactory.getLogger(CaptureSchemes.class);
    private static final List<String> SCHEMES = List.of("poll", "log", "feed");
    private static final String NONE = "none";

    private final ModelCamelContext camel;
    private final Schemas schemas;
    private final JdbcTemplate jdbc;
    private final Environment environment;
    private final Gaps gaps;
    private final TableLogs logs;
    private final LogSlot slots;
    private final KafkaClients kafka;
    private final Outages outages;
    private final Audit audit;
    private final Set<String> hindered = new TreeSet<>();
    private volatile Map<String, String> wanted = Map.of();

    CaptureSchemes(
            ModelCamelContext camel,
            Schemas schemas,
            JdbcTemplate jdbc,
            Environment environment,
            Gaps gaps,
            TableLogs logs,
            LogSlot slots,
            KafkaClients kafka,
            Outages outages,
            Audit audit) {
        this.camel = camel;
        this.schemas = schemas;
        this.jdbc = jdbc;
        this.environment = environment;
        this.gaps = gaps;
        this.logs = logs;
        this.slots = slots;
        this.kafka = kafka;
        this.outages = outages;
        this.audit = audit;
        for (String system : systems()) {
            String configured = configured(system);
            if (!NONE.equals(configured) && !SCHEMES.contains(configured)) {
                throw new IllegalStateException("twinsync.capture." + system + ".scheme (CAPTURE_"
                        + system.toUpperCase(java.util.Locale.ROOT) + "): " + SCHEMES + " or none is needed, not '"
                        + configured + "'");
            }
        }
    }

    /**
     * How a system's changes are learned.
     *
     * @param scheme the one that is meant
     * @param stored whether it was switched to (true), or is the environment's (false)
     * @param running the one that captures now; another one while a switch is under way
     */
    public record Scheme(
            String scheme, boolean stored, String configured, String running, String setBy, Instant setAt) {}

    /** What is asked for can't be done now; the message says what is in the way. */
    public static final class Refused extends RuntimeException {
        Refused(String message) {
            super(message);
        }
    }

    public Set<String> systems() {
        Set<String> systems = new TreeSet<>();
        schemas.all().forEach(schema -> systems.addAll(schema.systems()));
        return systems;
    }

    /** The schemes that a system has flows for, and none. */
    public List<String> choices(String system) {
        List<String> choices = new ArrayList<>(SCHEMES.stream()
                .filter(scheme -> !flows(scheme, system).isEmpty())
                .toList());
        choices.add(NONE);
        return choices;
    }

    public Scheme of(String system) {
        String running =
                jdbc.queryForList("select scheme from capture_running where system = ?", String.class, system).stream()
                        .findFirst()
                        .orElse(null);
        String configured = configured(system);
        return jdbc
                .query(
                        "select scheme, set_by, set_at from capture_scheme where system = ?",
                        (row, n) -> new Scheme(
                                row.getString(1),
                                true,
                                configured,
                                running,
                                row.getString(2),
                                row.getTimestamp(3).toInstant()),
                        system)
                .stream()
                .findFirst()
                .orElse(new Scheme(configured, false, configured, running, null, null));
    }

    /**
     * Switches to another scheme, on all instances.
     *
     * @throws Refused where the scheme can't run, with what is in the way; nothing was changed then
     */
    public void set(String system, String scheme, String who, String reason) {
        if (!choices(system).contains(scheme)) {
            throw new Refused("scheme: one of " + choices(system) + " is needed");
        }
        audit.act(act("capture.switch", system, who, reason, Map.of("scheme", scheme)), () -> {
            for (RouteDefinition flow : flows(scheme, system)) {
                try {
                    possible(flow);
                } catch (Exception e) {
                    throw new Refused(flow.getRouteId() + " can't run: " + e.getMessage());
                }
            }
            jdbc.update("""
                    insert into capture_scheme (system, scheme, set_by) values (?, ?, ?)
                    on conflict (system) do update set scheme = excluded.scheme, set_by = excluded.set_by,
                      set_at = clock_timestamp()""", system, scheme, who);
            LOG.info("{} is captured by {} from now on, said {}", system, scheme, who);
        });
    }

    /** Forgets a switch: the environment decides again. */
    public void forget(String system, String who, String reason) {
        audit.act(
                act("capture.forget", system, who, reason, Map.of()),
                () -> jdbc.update("delete from capture_scheme where system = ?", system));
    }

    private static Audit.Act act(String act, String system, String who, String reason, Map<String, ?> detail) {
        return new Audit.Act(who, act, "system", system, reason, detail);
    }

    /** Whether a flow that does not run is not meant to. */
    public boolean meant(String flow) {
        for (Map.Entry<String, String> system : wanted.entrySet()) {
            for (String scheme : SCHEMES) {
                if (flow.startsWith(scheme + '-' + system.getKey() + '-')) {
                    return scheme.equals(system.getValue());
                }
            }
            if (flow.startsWith("sweep-" + system.getKey() + '-')) {
                return !NONE.equals(system.getValue());
            }
        }
        return true;
    }

    private void possible(RouteDefinition flow) throws Exception {
        if (endpoint(flow) instanceof TableLogEndpoint log) {
            slots.check(log.keys());
        } else if (endpoint(flow) instanceof KafkaEndpoint feed) {
            Set<String> missing =
                    new TreeSet<>(List.of(feed.getConfiguration().getTopic().split("\\s*,\\s*")));
            try (var admin = org.apache.kafka.clients.admin.Admin.create(kafka.properties())) {
                missing.removeAll(admin.listTopics().names().get(15, TimeUnit.SECONDS));
            }
            if (!missing.isEmpty()) {
                throw new IllegalStateException("Kafka has no topic " + String.join(", ", missing)
                        + ": set twinsync.capture.app.feed.* to the topics that are written");
            }
        }
    }

    private String configured(String system) {
        return environment.getProperty("twinsync.capture." + system + ".scheme", "poll");
    }

    /** Those that never ran in this process too: the context lists a route only once it was started. */
    private List<RouteDefinition> flows(String verb, String system) {
        return camel.getRouteDefinitions().stream()
                .filter(route -> route.getRouteId().startsWith(verb + '-' + system + '-'))
                .toList();
    }

    private Endpoint endpoint(RouteDefinition flow) {
        Route running = camel.getRoute(flow.getRouteId());
        return running != null
                ? running.getEndpoint()
                : camel.getEndpoint(flow.getInput().getEndpointUri());
    }

    /** Brings this instance's flows to what is meant: when the service has started, and every second. */
    @EventListener(ApplicationReadyEvent.class)
    @Scheduled(fixedDelay = 1000)
    synchronized void follow() {
        if (!camel.getStatus().isStarted()) {
            return;
        }
        Map<String, String> now = new TreeMap<>();
        for (String system : systems()) {
            try {
                Scheme scheme = of(system);
                if (scheme.stored() && !scheme.scheme().equals(scheme.configured()) && !wanted.containsKey(system)) {
                    LOG.warn(
                            "{} is captured by {}, as was switched to at run time; the environment says {}",
                            system,
                            scheme.scheme(),
                            scheme.configured());
                }
                now.put(system, scheme.scheme());
                wanted = Map.copyOf(merged(now));
                follow(system, scheme);
                hindered.remove(system);
            } catch (Exception e) {
                if (camel.getStatus().isStarted() && hindered.add(system)) {
                    LOG.warn("capture of {} can't be switched, and is tried again: {}", system, e.toString());
                }
            }
        }
    }

    private Map<String, String> merged(Map<String, String> now) {
        Map<String, String> all = new LinkedHashMap<>(wanted);
        all.putAll(now);
        return all;
    }

    private void follow(String system, Scheme scheme) throws Exception {
        List<RouteDefinition> meant = new ArrayList<>(flows(scheme.scheme(), system));
        if (!scheme.scheme().equals(NONE)) {
            meant.addAll(flows("sweep", system));
        }
        for (RouteDefinition flow : meant) {
            boolean still = status(flow).isStarted() || status(flow).isSuspended();
            if (!still && !keptStill(flow)) {
                camel.getRouteController().startRoute(flow.getRouteId());
            }
        }
        if (!meant.stream().allMatch(this::runs)) {
            return;
        }
        List<RouteDefinition> others = new ArrayList<>();
        SCHEMES.stream()
                .filter(other -> !other.equals(scheme.scheme()))
                .forEach(other -> others.addAll(flows(other, system)));
        if (scheme.scheme().equals(NONE)) {
            others.addAll(flows("sweep", system));
        }
        for (RouteDefinition flow : others) {
            if (!status(flow).isStopped()) {
                camel.getRouteController().stopRoute(flow.getRouteId());
            }
        }
        settled(system, scheme);
        if (!scheme.scheme().equals("log")) {
            retire(system);
        }
    }

    private ServiceStatus status(RouteDefinition flow) {
        return camel.getRouteController().getRouteStatus(flow.getRouteId());
    }

    /** A log runs when some instance reads it; any other flow when it is started here. */
    private boolean runs(RouteDefinition flow) {
        if (keptStill(flow)) {
            return true;
        }
        return endpoint(flow) instanceof TableLogEndpoint
                ? logs.streams(flow.getRouteId())
                : status(flow).isStarted();
    }

    /** By a person, or by its own file. */
    private boolean keptStill(RouteDefinition flow) {
        return outages.holds(flow.getRouteId()) || "false".equals(flow.getAutoStartup());
    }

    /** What a feed told before anyone listened is not known: all keys are read once when it begins. */
    private void settled(String system, Scheme scheme) {
        if (scheme.scheme().equals(scheme.running())) {
            return;
        }
        if (scheme.scheme().equals("feed")) {
            for (Schema schema : schemas.all()) {
                if (!flowsOf(schema, system).isEmpty()) {
                    gaps.found(system, schema.entity(), "the feed begins");
                }
            }
        }
        jdbc.update("""
                insert into capture_running (system, scheme) values (?, ?)
                on conflict (system) do update set scheme = excluded.scheme, since = clock_timestamp()""", system, scheme.scheme());
        LOG.info("{} is captured by {}", system, scheme.scheme());
    }

    private List<RouteDefinition> flowsOf(Schema schema, String system) {
        return flows("feed", system).stream()
                .filter(flow -> flow.getRouteId().equals("feed-" + system + '-' + schema.plural()))
                .toList();
    }

    /** A slot that nobody reads holds back the server's log until its disk is full: it goes. */
    private void retire(String system) {
        for (String flow : logs.withSlot()) {
            if (flow.startsWith("log-" + system + '-') && logs.own(flow)) {
                try {
                    String slot = logs.standing(flow).slot();
                    slots.drop(slot);
                    logs.stand(flow, null, null);
                    LOG.info("The replication slot {} was dropped: {} no longer runs", slot, flow);
                } finally {
                    logs.release(flow);
                }
            }
        }
    }
}
