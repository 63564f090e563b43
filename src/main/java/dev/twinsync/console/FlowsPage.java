package dev.twinsync.console;

import dev.twinsync.operations.Flows;
import dev.twinsync.record.Schemas;
import java.security.Principal;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.stream.Collectors;
import org.springframework.context.MessageSource;
import org.springframework.context.i18n.LocaleContextHolder;
import org.springframework.http.HttpStatus;
import org.springframework.stereotype.Controller;
import org.springframework.ui.Model;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.server.ResponseStatusException;
import org.springframework.web.servlet.mvc.support.RedirectAttributes;

/** Each flow, where it stands and how it fares, and the way of a change through all of them. */
@Controller
class FlowsPage {

    private final Flows flows;
    private final Diagram diagram;
    private final Schemas schemas;
    private final MessageSource messages;

    FlowsPage(Flows flows, Diagram diagram, Schemas schemas, MessageSource messages) {
        this.flows = flows;
        this.diagram = diagram;
        this.schemas = schemas;
        this.messages = messages;
    }

    @GetMapping("/console/flows")
    String flows(Model page) {
        List<Flows.Flow> all = flows.all();
        page.addAttribute(
                "folders",
                all.stream()
                        .collect(Collectors.groupingBy(Flows.Flow::folder, LinkedHashMap::new, Collectors.toList())));
        page.addAttribute("diagram", diagram.lanes(all));
        page.addAttribute("schemas", schemas);
        return "flows";
    }

    /** The part of the page that refreshes itself. */
    @GetMapping("/console/flows/diagram")
    String diagram(Model page) {
        page.addAttribute("diagram", diagram.lanes(flows.all()));
        return "diagram :: svg";
    }

    @PostMapping("/console/flows/{flow}/{act:stop|pause|start}")
    String act(
            @PathVariable String flow,
            @PathVariable String act,
            @RequestParam(defaultValue = "") String reason,
            Principal person,
            RedirectAttributes told) {
        if (reason.isBlank()) {
            throw new ResponseStatusException(HttpStatus.BAD_REQUEST, text("reason.needed"));
        }
        try {
            switch (act) {
                case "stop" -> flows.put(flow, "stopped", person.getName(), reason);
                case "pause" -> flows.put(flow, "paused", person.getName(), reason);
                default -> flows.start(flow, person.getName(), reason);
            }
            told.addFlashAttribute("done", text("flow." + act + ".done", flow));
        } catch (Flows.Refused refused) {
            told.addFlashAttribute("refused", refused.getMessage());
        }
        return "redirect:/console/flows#" + flow;
    }

    private String text(String code, Object... arguments) {
        return messages.getMessage(code, arguments, LocaleContextHolder.getLocale());
    }
}
