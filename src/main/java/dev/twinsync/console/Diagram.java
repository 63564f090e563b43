package dev.twinsync.console;

import dev.twinsync.operations.Flows;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.springframework.stereotype.Component;

/** The way of a change as a picture: a lane an entity, from the systems through topics and merge to the systems. */
@Component
class Diagram {

    private static final int FIRST = 46;
    private static final int STEP = 74;

    /**
     * A flow in the picture.
     *
     * @param y its height in the lane
     * @param label where its name stands, from that height: above a wire that falls, below one that rises
     * @param state of its flow: running, waiting, paused, stopped
     */
    public record Arrow(String flow, String system, int y, int label, String state, long perMinute) {}

    /**
     * @param top where the lane begins
     * @param middle the height of its topics and merge, from the lane's beginning
     * @param observedBehind records that wait to be merged, or null where it isn't known
     * @param letters open letters of the entity
     */
    public record Lane(
            String entity,
            int top,
            int height,
            int middle,
            List<Arrow> in,
            List<Arrow> out,
            String mergeFlow,
            String mergeState,
            long merged,
            Long observedBehind,
            Long changedBehind,
            long letters) {}

    private final Schemas schemas;
    private final Pulse pulse;

    Diagram(Schemas schemas, Pulse pulse) {
        this.schemas = schemas;
        this.pulse = pulse;
    }

    List<Lane> lanes(List<Flows.Flow> all) {
        Map<String, Flows.Flow> flows = all.stream().collect(Collectors.toMap(Flows.Flow::id, Function.identity()));
        List<Lane> lanes = new ArrayList<>();
        int top = 0;
        for (Schema schema : schemas.all()) {
            String entity = schema.entity();
            String plural = schema.plural();
            List<Arrow> in = new ArrayList<>();
            List<Arrow> out = new ArrayList<>();
            long merged = 0;
            double changedBehind = -1;
            int y = FIRST;
            for (String system : schema.systems()) {
                String poll = Flows.capture(all, system, plural);
                String deliver = "deliver-" + system + '-' + plural;
                in.add(new Arrow(
                        poll,
                        system,
                        y,
                        y == FIRST ? -10 : 17,
                        state(flows, poll),
                        pulse.rate("observed", entity, system).perMinute()));
                out.add(new Arrow(
                        deliver,
                        system,
                        y,
                        y == FIRST ? -10 : 17,
                        state(flows, deliver),
                        pulse.rate("delivered", entity, system).perMinute()));
                merged += pulse.rate("merged", entity, system).perMinute();
                Double behind = pulse.gauge("sync_topic_behind", "group", "deliver-" + system + '-' + entity);
                changedBehind = behind == null ? changedBehind : Math.max(changedBehind, behind);
                y += STEP;
            }
            int height = y + 10;
            String merge = "merge-" + plural;
            Double observed = pulse.gauge("sync_topic_behind", "group", "merge-" + entity);
            lanes.add(new Lane(
                    entity,
                    top,
                    height,
                    FIRST + STEP * (schema.systems().size() - 1) / 2,
                    in,
                    out,
                    merge,
                    state(flows, merge),
                    merged,
                    observed == null ? null : observed.longValue(),
                    changedBehind < 0 ? null : (long) changedBehind,
                    all.stream()
                            .filter(flow -> flow.letter() != null && flow.id().endsWith('-' + plural))
                            .mapToLong(flow -> flow.letter().open())
                            .sum()));
            top += height + 16;
        }
        return lanes;
    }

    private static String state(Map<String, Flows.Flow> flows, String id) {
        return flows.containsKey(id) ? flows.get(id).state() : "stopped";
    }
}
