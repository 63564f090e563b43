package dev.twinsync.api;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.audit.Audit;
import dev.twinsync.record.Json;
import java.util.List;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** Who did what, when, why, and what came of it. */
@RestController
class AuditController {

    private final Audit audit;

    AuditController(Audit audit) {
        this.audit = audit;
    }

    @GetMapping("/audit")
    ObjectNode list(
            @RequestParam(required = false) String who,
            @RequestParam(required = false) String act,
            @RequestParam(required = false) String kind,
            @RequestParam(required = false) String target,
            @RequestParam(defaultValue = "" + Long.MAX_VALUE) long after,
            @RequestParam(defaultValue = "50") int limit) {
        int most = Math.max(1, Math.min(200, limit));
        List<Audit.Entry> found = audit.list(who, act, kind, target, after, most);
        ObjectNode answer = Json.MAPPER.createObjectNode();
        ArrayNode items = answer.putArray("items");
        for (Audit.Entry entry : found) {
            ObjectNode item = items.addObject();
            item.put("id", entry.id());
            item.put("at", entry.at().toString());
            item.put("who", entry.who());
            item.put("act", entry.act());
            item.put("kind", entry.kind());
            item.put("target", entry.target());
            item.put("reason", entry.reason());
            item.set("detail", entry.detail() == null ? null : Json.read(entry.detail()));
            item.put("result", entry.result());
            item.put("note", entry.note());
        }
        answer.put("next", found.size() < most ? null : found.get(most - 1).id());
        return answer;
    }
}
