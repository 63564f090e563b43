package dev.twinsync.api;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.operations.Flows;
import dev.twinsync.record.Json;
import dev.twinsync.record.Masking;
import java.security.Principal;
import java.time.Instant;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RestController;

/** The flows: how each fares, and putting one still. */
@RestController
class FlowController {

    private final Flows flows;

    FlowController(Flows flows) {
        this.flows = flows;
    }

    @GetMapping("/flows")
    ObjectNode list() {
        ObjectNode answer = Json.MAPPER.createObjectNode();
        ArrayNode items = answer.putArray("items");
        flows.all().forEach(flow -> items.add(json(flow)));
        answer.putNull("next");
        return answer;
    }

    @GetMapping("/flows/{flow}")
    ObjectNode one(@PathVariable String flow) {
        return json(flows.one(flow));
    }

    /** {@code {reason}}: on this instance at once, on every other within seconds, and after a restart too. */
    @PostMapping("/flows/{flow}/{act:stop|pause|start}")
    ObjectNode act(
            @PathVariable String flow,
            @PathVariable String act,
            @RequestBody(required = false) byte[] body,
            Principal caller) {
        String reason = Bodies.reason(Bodies.object(body));
        switch (act) {
            case "stop" -> flows.put(flow, "stopped", caller.getName(), reason);
            case "pause" -> flows.put(flow, "paused", caller.getName(), reason);
            default -> flows.start(flow, caller.getName(), reason);
        }
        return one(flow);
    }

    private static ObjectNode json(Flows.Flow flow) {
        ObjectNode json = Json.MAPPER.createObjectNode();
        json.put("flow", flow.id());
        json.put("file", flow.place());
        json.put("description", flow.description());
        json.put("called_by_others", !flow.entry());
        json.put("state", flow.state());
        json.put("why", flow.why());
        if (flow.stop() == null) {
            json.putNull("put_still");
        } else {
            ObjectNode stop = json.putObject("put_still");
            stop.put("by", flow.stop().who());
            stop.put("reason", Masking.inText(flow.stop().reason()));
            stop.put("at", flow.stop().at().toString());
        }
        json.put("runs", flow.runs());
        json.put("gave_up", flow.failed());
        json.put("last_turn", time(flow.last()));
        json.put("open_letters", flow.letter() == null ? 0 : flow.letter().open());
        json.put("newest_letter", flow.letter() == null ? null : flow.letter().id());
        return json;
    }

    private static String time(Instant at) {
        return at == null ? null : at.toString();
    }
}
