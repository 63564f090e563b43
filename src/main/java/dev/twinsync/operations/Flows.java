package dev.twinsync.operations;

import dev.twinsync.audit.Audit;
import dev.twinsync.capture.Capture;
import dev.twinsync.capture.CaptureSchemes;
import dev.twinsync.flow.Outages;
import dev.twinsync.record.Masking;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.search.Search;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.camel.CamelContext;
import org.apache.camel.Route;
import org.apache.camel.ServiceStatus;
import org.apache.camel.spring.boot.CamelContextConfiguration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.context.annotation.Lazy;
import org.springframework.dao.DataAccessException;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.stereotype.Component;
import org.springframework.transaction.TransactionException;

/**
 * The flows as they run here, and what people have put still. A flow that somebody stopped or paused is so on every
 * instance, and stays so when the service starts again, until somebody starts it.
 */
@Component
public class Flows implements CamelContextConfiguration {

    private static final Logger LOG = LoggerFactory.getLogger(Flows.class);

    /** @param state stopped or paused */
    public record Stop(String flow, String state, String who, String reason, Instant at) {}

    /**
     * @param folder its folder under routes/
     * @param place file and line
     * @param entry whether it is started by itself, not called by another flow; only such a flow can be stopped
     * @param state running, waiting (for a system that is away), paused, stopped, or off: it is not meant to run, as the
     *     flows of a capture scheme that is not in use
     * @param why of a flow that does not run or does not get through, or null
     * @param runs turns, batches or calls since this instance started
     * @param last when a poll last got through, or null
     * @param letter the flow's newest letter that is not settled, or null
     */
    public record Flow(
            String id,
            String folder,
            String place,
            String description,
            boolean entry,
            String state,
            String why,
            Stop stop,
            long runs,
            long failed,
            Instant last,
            Letter letter) {}

    public record Letter(long id, Instant at, String message, long open) {}

    /** What a person asked of a flow can't be. */
    public static class Refused extends RuntimeException {
        Refused(String message) {
            super(message);
        }
    }

    private final CamelContext camel;
    private final JdbcTemplate jdbc;
    private final Outages outages;
    private final Capture capture;
    private final CaptureSchemes schemes;
    private final MeterRegistry meters;
    private final Audit audit;
    private final Path routes;
    private final Set<String> held = ConcurrentHashMap.newKeySet();
    private volatile Map<String, Stop> still = Map.of();

    Flows(
            CamelContext camel,
            JdbcTemplate jdbc,
            Outages outages,
            @Lazy Capture capture,
            @Lazy CaptureSchemes schemes,
            MeterRegistry meters,
            Audit audit,
            @Value("${twinsync.routes-dir}") Path routes) {
        this.camel = camel;
        this.jdbc = jdbc;
        this.outages = outages;
        this.capture = capture;
        this.schemes = schemes;
        this.meters = meters;
        this.audit = audit;
        this.routes = routes.toAbsolutePath().normalize();
    }

    /** What was put still before the service ended does not even begin. */
    @Override
    public void beforeApplicationStart(CamelContext context) {
        still = Map.copyOf(stops());
        held.addAll(still.keySet());
        held.forEach(outages::hold);
        if (!held.isEmpty()) {
            LOG.warn("{} stay as somebody has put them", held);
            String others = context.getAutoStartupExcludePattern();
            context.setAutoStartupExcludePattern((others == null ? "" : others + ',') + String.join(",", held));
        }
    }

    @Override
    public void afterApplicationStart(CamelContext context) {
        // everything is done before
    }

    /** Every flow of this instance, by folder and name. */
    public List<Flow> all() {
        return of(null);
    }

    /** @throws NoSuchElementException where there is no such flow */
    public Flow one(String flow) {
        return of(flow).stream().findFirst().orElseThrow(() -> new NoSuchElementException("no flow " + flow));
    }

    /** The flow by which changes of a system are learned: its poll, or that of another scheme that is in use. */
    public static String capture(List<Flow> all, String system, String plural) {
        return all.stream()
                .filter(flow -> flow.id().matches("(poll|log|feed)-" + system + '-' + plural))
                .filter(flow -> !flow.state().equals("off"))
                .map(Flow::id)
                .findFirst()
                .orElse("poll-" + system + '-' + plural);
    }

    private List<Flow> of(String only) {
        Map<String, Stop> stops = stops();
        Map<String, Letter> letters = letters();
        Map<String, String> troubles = capture.troubles();
        Map<String, Instant> turns = capture.turns();
        List<Flow> flows = new ArrayList<>();
        for (Route route : camel.getRoutes()) {
            String id = route.getRouteId();
            if (only != null && !only.equals(id)) {
                continue;
            }
            Stop stop = stops.get(id);
            String why = troubles.get(id);
            ServiceStatus status = camel.getRouteController().getRouteStatus(id);
            boolean runs = status != null && status.isStarted();
            String state = runs ? "running" : meant(route) ? "stopped" : "off";
            if (stop != null) {
                state = stop.state();
            } else if (!state.equals("off")) {
                for (Map.Entry<String, Outages.Outage> outage :
                        outages.outages().entrySet()) {
                    if (id.startsWith(outage.getKey())) {
                        state = "waiting";
                        why = outage.getValue().cause();
                    }
                }
                if (why != null) {
                    state = "waiting";
                }
            }
            flows.add(new Flow(
                    id,
                    folder(route),
                    place(route),
                    route.getDescription(),
                    entry(route),
                    state,
                    Masking.inText(why),
                    stop,
                    count("camel.exchanges.total", id),
                    count("camel.exchanges.failed", id) + count("camel.exchanges.failures.handled", id),
                    turns.get(id),
                    letters.get(id)));
        }
        flows.sort(Comparator.comparing(Flow::folder).thenComparing(Flow::id));
        return flows;
    }

    private boolean meant(Route route) {
        return !Boolean.FALSE.equals(route.isAutoStartup()) && schemes.meant(route.getRouteId());
    }

    private Map<String, Stop> stops() {
        Map<String, Stop> stops = new HashMap<>();
        jdbc.query("select flow, state, who, reason, at from flow_stop", row -> {
            stops.put(
                    row.getString("flow"),
                    new Stop(
                            row.getString("flow"),
                            row.getString("state"),
                            row.getString("who"),
                            row.getString("reason"),
                            row.getTimestamp("at").toInstant()));
        });
        return stops;
    }

    /** What people have put still, as it was seen last; asks no neighbour. */
    Map<String, Stop> still() {
        return still;
    }

    /**
     * Puts a flow still: this instance's at once, every other's within seconds, and all of them after a restart too.
     *
     * @param state stopped (its consumer leaves) or paused (its consumer stays and waits)
     * @throws NoSuchElementException where there is no such flow
     * @throws Refused where other flows call it
     */
    public void put(String flow, String state, String who, String reason) {
        entryOf(flow);
        audit.act(new Audit.Act(who, state.equals("paused") ? "flow.pause" : "flow.stop", "flow", flow, reason), () -> {
            jdbc.update("""
                            insert into flow_stop (flow, state, who, reason) values (?, ?, ?, ?)
                            on conflict (flow) do update set state = excluded.state, who = excluded.who,
                              reason = excluded.reason, at = clock_timestamp()""", flow, state, who, reason);
            follow();
        });
    }

    /**
     * Lets a flow run again, on every instance.
     *
     * @throws NoSuchElementException where there is no such flow
     * @throws Refused where other flows call it, or it belongs to a capture scheme that is not in use
     */
    public void start(String flow, String who, String reason) {
        if (!meant(entryOf(flow))) {
            throw new Refused(flow + " is not meant to run: it belongs to a capture scheme that is not in use");
        }
        audit.act(new Audit.Act(who, "flow.start", "flow", flow, reason), () -> {
            jdbc.update("delete from flow_stop where flow = ?", flow);
            held.add(flow);
            follow();
        });
    }

    @Scheduled(initialDelay = 5000, fixedDelay = 3000)
    void look() {
        try {
            follow();
        } catch (DataAccessException | TransactionException e) {
            // the state's database is away, as health says; the flows stay as they are
            LOG.debug("what people have put still can't be read: {}", e.toString());
        }
    }

    /** Makes the flows of this instance what people have asked for, on whichever instance they did. */
    private synchronized void follow() {
        Map<String, Stop> stops = stops();
        still = Map.copyOf(stops);
        stops.values().forEach(stop -> {
            held.add(stop.flow());
            outages.hold(stop.flow());
            set(stop.flow(), stop.state());
        });
        for (String flow : Set.copyOf(held)) {
            if (!stops.containsKey(flow)) {
                outages.release(flow);
                if (set(flow, "running")) {
                    held.remove(flow);
                }
            }
        }
    }

    private boolean set(String flow, String state) {
        try {
            ServiceStatus status = camel.getRouteController().getRouteStatus(flow);
            if (status == null) {
                return true;
            }
            switch (state) {
                case "stopped" -> {
                    if (!status.isStopped()) {
                        camel.getRouteController().stopRoute(flow);
                    }
                }
                case "paused" -> {
                    if (status.isStarted()) {
                        camel.getRouteController().suspendRoute(flow);
                    }
                }
                default -> {
                    if (status.isSuspended()) {
                        camel.getRouteController().resumeRoute(flow);
                    } else if (!status.isStarted()) {
                        camel.getRouteController().startRoute(flow);
                    }
                }
            }
            return true;
        } catch (Exception e) {
            LOG.error("{} can't be made {}", flow, state, e);
            return false;
        }
    }

    private Route entryOf(String flow) {
        Route route = camel.getRoute(flow);
        if (route == null) {
            throw new NoSuchElementException("no flow " + flow);
        }
        if (!entry(route)) {
            throw new Refused(flow + " is called by other flows: stop those");
        }
        return route;
    }

    private static boolean entry(Route route) {
        return !route.getEndpoint().getEndpointUri().startsWith("direct:");
    }

    private long count(String meter, String flow) {
        return Math.round(Search.in(meters).name(meter).tag("routeId", flow).functionCounters().stream()
                        .mapToDouble(counter -> counter.count())
                        .sum()
                + Search.in(meters).name(meter).tag("routeId", flow).counters().stream()
                        .mapToDouble(counter -> counter.count())
                        .sum());
    }

    private String folder(Route route) {
        String place = place(route);
        int slash = place.lastIndexOf('/');
        return slash < 0 ? "" : place.substring(0, slash);
    }

    private String place(Route route) {
        String location = route.getSourceLocation();
        if (location == null) {
            location = route.getSourceResource() == null
                    ? ""
                    : route.getSourceResource().getLocation();
        }
        String file = location.replaceFirst("^file:", "").replaceFirst(":\\d+$", "");
        String line = location.substring(location.indexOf(file) + file.length());
        if (file.isEmpty()) {
            return "";
        }
        Path path = Path.of(file).toAbsolutePath().normalize();
        return (path.startsWith(routes) ? routes.relativize(path).toString() : file) + line;
    }

    private Map<String, Letter> letters() {
        Map<String, Letter> letters = new HashMap<>();
        jdbc.query("""
                select o.route, o.id, o.open, d.last_failed_at, d.error ->> 'message' as message
                from (select route, max(id) as id, count(*) as open from dead_letter
                  where state in ('open', 'retrying') group by route) o
                join dead_letter d on d.id = o.id""", row -> {
            letters.put(
                    row.getString("route"),
                    new Letter(
                            row.getLong("id"),
                            row.getTimestamp("last_failed_at").toInstant(),
                            Masking.inText(row.getString("message")),
                            row.getLong("open")));
        });
        return letters;
    }
}
